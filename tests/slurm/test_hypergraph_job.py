"""HyperLearn as a job, on a real Slurm: one that is told to end goes on, a modality per node."""

import json

import numpy as np
import pytest
from cluster.cluster import wait_for
from on_cluster import BIN, ROOT, log, sbatch
from safetensors.torch import load_file
from yaml import safe_dump

from hvdtma.comm import InProcessGroup
from hvdtma.core.config import load_as
from hypergraph import Modality, MultimodalHypergraph, Relation
from hypergraph.config import RunConfig
from hypergraph.run import train_run
from hypergraph.run_folder import FitFolder
from slurm import submit

EVERY, TIME_S = 5, 5.0


@pytest.fixture
def config(tmp_path):
    """The config's file: of a run long enough to be told to end, however fast the machine is."""
    random = np.random.default_rng(0)
    modalities = [Modality(f"m{k}", 50) for k in range(3)]
    links = Relation("all", ("m0", "m1", "m2"), random.integers(0, 50, (500, 3)))
    MultimodalHypergraph.of(modalities, [links]).save(tmp_path / "g.zarr")
    values = {
        "data": {"hypergraph": str(tmp_path / "g.zarr")},
        "run": str(tmp_path / "run"),
        "iterations": None,
        "time_limit_s": TIME_S,
        "batch_size": 128,
        "precision": "float64",
        "model": {"dim": 8},
        "evaluate": {"every": EVERY},
    }
    path = tmp_path / "c.yaml"
    path.write_text(safe_dump(values))
    return path


def scores(run):
    return [event for event in run.events() if event["kind"] == "iterations"]


def told_to_end_when_it_trains(slurm, job, run):
    wait_for(lambda: bool(scores(run)), 120)
    slurm.run("scancel", "--signal=USR2", job)


def went_on(slurm, job, run):
    """Whether it was requeued and trained to its end, no iteration twice, by its own clock."""
    done = [event["iteration"] for event in scores(run)]
    times_s = [event["time_s"] for event in scores(run)]
    summary = json.loads(run.summary.read_text())
    ranks = {where.split(",")[0] for where in summary["placement"].values()}
    return (
        slurm.job(job)["Restarts"] == "1"
        and done == list(range(EVERY, summary["iterations"] + 1, EVERY))
        and times_s == sorted(times_s)
        and times_s[-2] < TIME_S <= times_s[-1]
        and ranks == {"rank 0", "rank 1", "rank 2"}
    )


def test_a_batch_job_that_is_told_to_end_is_requeued_and_goes_on(slurm, config, tmp_path):
    """To the factors that as many iterations come to anyway."""
    run, whole = FitFolder(tmp_path / "run"), FitFolder(tmp_path / "whole")
    script = ROOT / "slurm" / "train.sbatch"
    command = ["python", "-m", "hypergraph", "train", config]
    job = sbatch(slurm, script, *command, folder=tmp_path, options=["--nodes=3"])
    told_to_end_when_it_trains(slurm, job, run)
    assert slurm.wait_for_job(job, timeout_s=200) == "COMPLETED", log(tmp_path)
    assert log(tmp_path).count("and saved; resume with: python -m hypergraph") == 1
    assert went_on(slurm, job, run), log(tmp_path)
    iterations = scores(run)[-1]["iteration"]
    limits = [f"iterations={iterations}", "time_limit_s=null", f"run={whole.path}"]
    loaded = load_as(RunConfig, config, limits)
    InProcessGroup(3).run(lambda comm: train_run(loaded, comm))
    found = load_file(run.model)
    for name, value in load_file(whole.model).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-9)


def test_a_command_that_is_submitted_goes_on_too(slurm, config, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    monkeypatch.setenv("PATH", f"{BIN}:{slurm.env['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path))  # no cluster defaults
    words = ["python", "-m", "hypergraph", "train", str(config), "--or-resume"]
    [spec] = submit(words, nodes=3, time="10m", folder=tmp_path / "jobs").specs
    run = FitFolder(tmp_path / "run")
    told_to_end_when_it_trains(slurm, spec.id, run)
    assert slurm.wait_for_job(spec.id, timeout_s=200) == "COMPLETED", spec.log.read_text()
    assert went_on(slurm, spec.id, run), spec.log.read_text()
