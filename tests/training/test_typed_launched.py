"""Typed graphs under horovodrun, killed and resumed, and with trainers that are lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from launchers import TRAIN, environment, launched
from processes import command, kill_when
from typed_graphs import shop_store

import hvdtma
from hvdtma.core.config import dump_config
from hvdtma.core.train_config import parse_config
from hvdtma.runs.folder import read_lines
from hvdtma.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop_store(tmp_path_factory.mktemp("typed") / "g.zarr", valid=0.1, test=0.1)


def config_of(store, run, **changes):
    """A config and its file."""
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": 4,
        "rounds": 3,
        "threads": 1,
        "reassign_rounds": 1,
        "model": {"hidden": 16, "fanouts": [4, 4]},
        "task": {"batch_size": 64, "num_negatives": 16},
        "evaluate": {"mode": "final"},
    }
    config, file = parse_config(values | changes), run.with_suffix(".yaml")
    dump_config(config, file)
    return config, file


def losses(run):
    rounds = [event for event in read_lines(run / "metrics.jsonl") if event["kind"] == "round"]
    return [[row["loss"] for row in event["trainers"]] for event in rounds]


def test_horovodrun_trains_as_trainers_of_one_process_do(store, tmp_path):
    config, file = config_of(store, tmp_path / "horovod")
    done = launched("horovodrun", 2, *TRAIN, file)
    assert done.returncode == 0, done.stderr
    other, _ = config_of(store, tmp_path / "inside")
    inside = hvdtma.train(other, trainers=2)
    assert losses(config.run) == losses(inside.path)
    assert hvdtma.Run(config.run).summary["test"]["mrr"] == inside.summary["test"]["mrr"]


def test_a_killed_run_goes_on_as_if_it_had_not_been_killed(store, tmp_path):
    config, file = config_of(store, tmp_path / "killed", rounds=8, checkpoint={"every": 1})
    inside = ("train", file, "--in-process", 2)
    kill_when(lambda: len(losses_so_far(config.run)) >= 2, *inside)
    before = losses_so_far(config.run)
    assert 2 <= len(before) < 8
    resumed = subprocess.run(command(*inside, "--or-resume"), capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    other, _ = config_of(store, tmp_path / "whole", rounds=8)
    whole = hvdtma.train(other, trainers=2)
    assert losses(config.run) == losses(whole.path)


def losses_so_far(run):
    return losses(run) if (run / "metrics.jsonl").is_file() else []


def test_the_other_trainer_goes_on_without_a_killed_one(store, tmp_path):
    hosts = tmp_path / "hosts.sh"
    hosts.write_text("#!/bin/sh\necho localhost:1\necho 127.0.0.1:1\n")
    hosts.chmod(0o755)
    timed = {"interval_s": 1.0, "interval_steps": None, "rounds": 8, "elastic": True}
    config, file = config_of(store, tmp_path / "run", **timed)
    run, log = RunFolder(config.run), tmp_path / "log"
    start = ["horovodrun", "-np", "2", "--min-np", "1", "--host-discovery-script", str(hosts)]
    with log.open("w") as out:
        launcher = subprocess.Popen(
            [*start, *TRAIN, str(file)], env=environment(), stdout=out, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 120
    while sum(event["kind"] == "round" for event in run.events()) < 2:
        assert launcher.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    trainers = [
        process
        for process in psutil.Process(launcher.pid).children(recursive=True)
        if process.cmdline()[:1] == [sys.executable] and "hvdtma" in process.cmdline()
    ]
    killed = next(p for p in trainers if p.environ().get("HOROVOD_RANK") == "1")
    os.kill(killed.pid, signal.SIGKILL)
    assert launcher.wait(timeout=200) == 0, log.read_text()
    events = run.events()
    assert [e["round"] for e in events if e["kind"] == "round"] == list(range(1, 9))
    [change] = [event for event in events if event["kind"] == "members"]
    assert (change["lost"], change["trainers"]) == (1, 1)
    assert np.isfinite(hvdtma.Run(run.path).summary["test"]["mrr"])
    assert Path(run.path, "best.safetensors").is_file()
