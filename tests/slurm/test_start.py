"""Trainers under srun and sbatch, on a real Slurm of four nodes."""

import json
import stat
import subprocess

import pytest
from cluster.cluster import wait_for
from on_cluster import (
    ROOT,
    assert_same,
    config_of,
    environment,
    horovodrun,
    log,
    parameters,
    sbatch,
)

from hvdtma.comm.slurm_meeting import RendezvousInfo, published
from hvdtma.comm.slurm_meeting import wait_for as wait_for_file
from hvdtma.comm.slurm_task import SlurmTask
from hvdtma.core.errors import TrainerError
from hvdtma.runs.run_folder import RunFolder
from slurm.workers import tasks_per_node

SCRIPT = ROOT / "slurm" / "train.sbatch"


@pytest.fixture(scope="module")
def reference(community_store, tmp_path_factory):
    """What horovodrun -np 4 comes to."""
    config, path = config_of(community_store, tmp_path_factory.mktemp("reference") / "run")
    horovodrun(path)
    return parameters(config.run)


def test_srun_trains_on_four_nodes_to_the_parameters_of_horovodrun(
    slurm, community_store, tmp_path, reference
):
    config, path = config_of(community_store, tmp_path / "run")
    srun = ["srun", "-N4", "-n4", "hvdtma", "train", str(path)]
    done = subprocess.run(srun, env=environment(slurm), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same(parameters(config.run), reference)
    assert not list(tmp_path.glob(".hvdtma-*"))  # the secret is gone


def test_srun_trains_to_the_same_parameters_with_torch_distributed(
    slurm, community_store, tmp_path, reference
):
    config, path = config_of(community_store, tmp_path / "run")
    srun = ["srun", "-N2", "--ntasks-per-node=2", "hvdtma", "train", "--comm", "torch", str(path)]
    done = subprocess.run(srun, env=environment(slurm), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same(parameters(config.run), reference)
    assert not list(tmp_path.glob(".hvdtma-*"))


def test_several_tasks_per_node_train_too(slurm, community_store, tmp_path, reference):
    config, path = config_of(community_store, tmp_path / "run")
    srun = ["srun", "-N2", "--ntasks-per-node=2", "hvdtma", "train", str(path)]
    done = subprocess.run(srun, env=environment(slurm), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same(parameters(config.run), reference)


def test_sbatch_trains_on_four_nodes_to_the_parameters_of_horovodrun(
    slurm, community_store, tmp_path, reference
):
    config, path = config_of(community_store, tmp_path / "run")
    job = sbatch(slurm, SCRIPT, path, folder=tmp_path)
    assert slurm.wait_for_job(job, timeout_s=200) == "COMPLETED", log(tmp_path)
    assert_same(parameters(config.run), reference)


def test_a_job_that_is_told_to_end_is_requeued_and_comes_to_the_same_parameters(
    slurm, community_store, tmp_path, reference
):
    """As at a time limit, where Slurm sends the same signal to the job's steps."""
    config, path = config_of(community_store, tmp_path / "run")
    job = sbatch(slurm, SCRIPT, path, folder=tmp_path)
    run = RunFolder(config.run)
    wait_for(lambda: bool(run.round_files()), 200)
    slurm.run("scancel", "--signal=USR2", job)
    assert slurm.wait_for_job(job, timeout_s=300) == "COMPLETED", log(tmp_path)
    assert [event["round"] for event in run.events() if event["kind"] == "round"] == [1, 2, 3, 4]
    assert_same(parameters(config.run), reference)


@pytest.mark.timeout(400)
def test_a_job_longer_than_its_time_limit_goes_on_under_its_id_with_its_clock(
    slurm, community_store, tmp_path
):
    timed = {"interval_steps": None, "interval_s": 2.0, "rounds": None, "time_limit_s": 75.0}
    config, path = config_of(community_store, tmp_path / "run", **timed)
    options = ["--time=2", "--signal=USR2@60"]  # Slurm looks every 30 s
    job = sbatch(slurm, SCRIPT, path, folder=tmp_path, options=options)
    assert slurm.wait_for_job(job, timeout_s=280) == "COMPLETED", log(tmp_path)
    assert int(slurm.job(job)["Restarts"]) >= 1
    run = RunFolder(config.run)
    rounds = [event for event in run.events() if event["kind"] == "round"]
    assert [event["round"] for event in rounds] == list(range(1, len(rounds) + 1))
    assert 75 <= rounds[-1]["time_s"] < 85
    assert "reached its time limit" not in log(tmp_path)


def test_a_run_of_four_trainers_goes_on_with_three_and_with_five(slurm, community_store, tmp_path):
    scored = {"checkpoint": {"every": 4}, "evaluate": {"mode": "inline"}}
    config, path = config_of(community_store, tmp_path / "run", **scored)
    for tasks, rounds in ((4, 4), (3, 6), (5, 8)):
        asked = [path] if tasks == 4 else ["--resume", config.run]
        train = ["srun", "-n", tasks, "hvdtma", "train", *asked, f"rounds={rounds}"]
        done = subprocess.run(
            list(map(str, train)), env=environment(slurm), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    events = RunFolder(config.run).events()
    sizes = [len(event["trainers"]) for event in events if event["kind"] == "round"]
    assert sizes == [4, 4, 4, 4, 3, 3, 5, 5]
    valid = [event for event in events if event["kind"] == "score" and event["part"] == "valid"]
    scores = {event["round"]: event["metrics"]["mrr"] for event in valid}
    print(f"valid MRR by round: {scores}")
    assert min(scores[number] for number in range(5, 9)) > 0.95 * scores[4]


def test_a_mistake_in_the_config_is_said_once(slurm, community_store, tmp_path):
    _, path = config_of(community_store, tmp_path / "run")
    srun = ["srun", "-N4", "-n4", "hvdtma", "train", str(path), "model.hiden=3"]
    done = subprocess.run(srun, env=environment(slurm), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("unknown key 'model.hiden'") == 1


def test_a_folder_that_the_nodes_do_not_share_is_named(tmp_path):
    with pytest.raises(TrainerError, match=r"\.hvdtma-1\.0\.0\.json did not appear"):
        wait_for_file(tmp_path / ".hvdtma-1.0.0.json", 0.2)


def test_what_says_where_is_for_its_owner_only_and_goes_away(tmp_path):
    path = tmp_path / "shared" / ".hvdtma-1.json"
    where = RendezvousInfo("127.0.0.1", 1234, "secret")
    with published(where, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert wait_for_file(path, 1) == where
    assert not list(path.parent.iterdir())


def test_what_others_may_have_written_is_not_trusted(tmp_path):
    path = tmp_path / "where.json"
    path.write_text(json.dumps({"address": "x", "port": 1, "secret": "y"}))
    path.chmod(0o644)
    with pytest.raises(TrainerError, match="not trusted"):
        wait_for_file(path, 1)


def test_a_task_is_known_by_its_step_and_a_batch_script_is_none():
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
    ("words", "tasks"), [("4", [4]), ("2(x3)", [2, 2, 2]), ("4(x2),3", [4, 4, 3])]
)
def test_tasks_per_node_are_read_as_slurm_writes_them(words, tasks):
    assert tasks_per_node(words) == tasks
