"""Trainers under srun and sbatch, on a real Slurm of four nodes."""

import json
import stat
from math import ceil
from time import monotonic

import pytest
from cluster.cluster import wait_for
from on_cluster import (
    ROOT,
    ROUNDS,
    assert_same,
    config_of,
    in_process,
    log,
    parameters,
    sbatch,
    srun,
)

from hvdtma.comm.slurm_meeting import RendezvousInfo, published
from hvdtma.comm.slurm_meeting import wait_for as wait_for_file
from hvdtma.comm.slurm_task import SlurmTask
from hvdtma.core.errors import TrainerError
from hvdtma.runs.run_folder import RunFolder
from slurm.workers import parse_tasks_per_node

SCRIPT = ROOT / "slurm" / "train.sbatch"


def test_srun_trains_on_four_nodes_to_the_parameters_of_horovodrun(
    slurm, community_store, tmp_path, reference
):
    config, path = config_of(community_store, tmp_path / "run")
    done = srun(slurm, "-N4", "-n4", "hvdtma", "train", path)
    assert done.returncode == 0, done.stderr
    assert_same(parameters(config.run), reference)
    assert not list(tmp_path.glob(".hvdtma-*"))  # the secret is gone


def test_srun_trains_to_the_same_parameters_with_torch_distributed(
    slurm, community_store, tmp_path, reference
):
    config, path = config_of(community_store, tmp_path / "run")
    nodes = ("-N2", "--ntasks-per-node=2")
    done = srun(slurm, *nodes, "hvdtma", "train", "--comm", "torch", path)
    assert done.returncode == 0, done.stderr
    assert_same(parameters(config.run), reference)
    assert not list(tmp_path.glob(".hvdtma-*"))


def test_a_batch_job_that_is_told_to_end_is_requeued_and_comes_to_the_same_parameters(
    slurm, community_store, tmp_path
):
    """As at a time limit, where Slurm sends the same signal to the job's steps."""
    config, path = config_of(community_store, tmp_path / "run")
    job = sbatch(slurm, SCRIPT, path, folder=tmp_path, options=["--nodes=2"])
    whole, _ = config_of(community_store, tmp_path / "whole")
    in_process(whole, 2)
    run = RunFolder(config.run)
    wait_for(lambda: bool(run.round_files()), 200)
    slurm.run("scancel", "--signal=USR2", job)
    assert slurm.wait_for_job(job, timeout_s=300) == "COMPLETED", log(tmp_path)
    assert slurm.job(job)["Restarts"] == "1"
    rounds = [event["round"] for event in run.events() if event["kind"] == "round"]
    assert rounds == list(range(1, ROUNDS + 1))
    assert_same(parameters(config.run), parameters(whole.run))


@pytest.mark.timeout(400)
def test_a_job_whose_time_limit_comes_goes_on_under_its_id_with_its_clock(
    slurm, community_store, tmp_path
):
    """Slurm sends the signal at most 30 s after the limit was lowered."""
    limit_s = 40.0
    timed = {"interval_steps": None, "interval_s": 2.0, "rounds": None, "time_limit_s": limit_s}
    config, path = config_of(community_store, tmp_path / "run", **timed)
    run = RunFolder(config.run)
    options = ["--nodes=2", "--time=20", "--signal=USR2@60"]
    job, submitted_at = sbatch(slurm, SCRIPT, path, folder=tmp_path, options=options), monotonic()
    wait_for(lambda: bool(run.round_files()), 200)
    minutes = ceil((monotonic() - submitted_at + 40) / 60)
    slurm.run("scontrol", "update", f"jobid={job}", f"timelimit={minutes}")
    slurm.wait_for_job(job, "PENDING", timeout_s=100)
    slurm.run("scontrol", "update", f"jobid={job}", "timelimit=20")
    assert slurm.wait_for_job(job, timeout_s=200) == "COMPLETED", log(tmp_path)
    assert slurm.job(job)["Restarts"] == "1"
    rounds = [event for event in run.events() if event["kind"] == "round"]
    assert [event["round"] for event in rounds] == list(range(1, len(rounds) + 1))
    assert limit_s <= rounds[-1]["time_s"] < limit_s + 10
    assert "reached its time limit" not in log(tmp_path)


def test_a_run_of_two_trainers_goes_on_with_three_and_with_one(slurm, community_store, tmp_path):
    changes = {"interval_steps": 5, "checkpoint": {"every": 4}, "evaluate": {"mode": "inline"}}
    config, path = config_of(community_store, tmp_path / "run", **changes)
    for tasks, rounds in ((2, 4), (3, 6), (1, 8)):
        which = [path] if tasks == 2 else ["--resume", config.run]
        done = srun(slurm, "-n", tasks, "hvdtma", "train", *which, f"rounds={rounds}")
        assert done.returncode == 0, done.stderr
    events = RunFolder(config.run).events()
    sizes = [len(event["trainers"]) for event in events if event["kind"] == "round"]
    assert sizes == [2, 2, 2, 2, 3, 3, 1, 1]
    valid = [event for event in events if event["kind"] == "score" and event["part"] == "valid"]
    scores = {event["round"]: event["metrics"]["mrr"] for event in valid}
    print(f"valid MRR by round: {scores}")
    assert min(scores[number] for number in range(5, 9)) > 0.95 * scores[4]


def test_an_error_in_the_config_is_printed_once(slurm, community_store, tmp_path):
    _, path = config_of(community_store, tmp_path / "run")
    done = srun(slurm, "-N2", "-n2", "hvdtma", "train", path, "model.hiden=3")
    assert done.returncode == 2
    assert done.stderr.count("unknown key 'model.hiden'") == 1


def test_a_folder_that_the_nodes_do_not_share_is_named(tmp_path):
    with pytest.raises(TrainerError, match=r"\.hvdtma-1\.0\.0\.json did not appear"):
        wait_for_file(tmp_path / ".hvdtma-1.0.0.json", 0.2)


def test_the_file_with_the_secret_is_its_owners_only_and_is_removed(tmp_path):
    path = tmp_path / "shared" / ".hvdtma-1.json"
    where = RendezvousInfo("127.0.0.1", 1234, "secret")
    with published(where, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert wait_for_file(path, 1) == where
    assert not list(path.parent.iterdir())


def test_a_file_that_others_could_have_written_is_not_trusted(tmp_path):
    path = tmp_path / "where.json"
    path.write_text(json.dumps({"address": "x", "port": 1, "secret": "y"}))
    path.chmod(0o644)
    with pytest.raises(TrainerError, match="not trusted"):
        wait_for_file(path, 1)


def test_a_task_belongs_to_a_step_and_a_batch_script_is_no_task():
    batch = {
        "SLURM_JOB_ID": "7",
        "SLURM_PROCID": "0",
        "SLURM_NTASKS": "4",
        "SLURM_JOB_NODELIST": "n[1-4]",
    }
    assert SlurmTask.from_environ(batch) is None
    step = {
        "SLURM_STEP_ID": "2",
        "SLURM_PROCID": "3",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURMD_NODENAME": "n4",
        "SLURM_RESTART_COUNT": "1",
    }
    assert SlurmTask.from_environ(batch | step) == SlurmTask(3, 4, "n4", "n[1-4]", "7.2.1")


@pytest.mark.parametrize(
    ("text", "tasks"), [("4", [4]), ("2(x3)", [2, 2, 2]), ("4(x2),3", [4, 4, 3])]
)
def test_tasks_per_node_are_read_as_slurm_writes_them(text, tasks):
    assert parse_tasks_per_node(text) == tasks
