"""`tools/kill_trainers.py` kills trainers of a job, now and then, and nothing else."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from cluster.cluster import wait_for

TOOL = Path(__file__).parents[2] / "tools/kill_trainers.py"
# A trainer with a helper of its own, as it has an evaluator, started as launchers start one.
TRAINER = """\
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).mkdir(exist_ok=True)
pathlib.Path(sys.argv[1], str(child.pid)).touch()
time.sleep(600)
"""
RANKS = 4
LAUNCHER = f"""\
for rank in {" ".join(map(str, range(RANKS)))}; do
    sh -c "HOROVOD_RANK=$rank {sys.executable} trainer.py started; sleep 600" &
done
wait
"""


def kill_trainers(*arguments, env=None):
    command = [sys.executable, str(TOOL), "--every", "0.3", "--seed", "0", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    return done.returncode, done.stdout, done.stderr


def helpers(folder):
    """Process ids of the trainers' helpers, which live on when their trainer is killed."""
    found = [int(path.name) for path in folder.glob("started/*")]
    return found if len(found) == RANKS else []


def trainers(folder):
    """Process ids of the trainers that run."""
    alive = [psutil.Process(pid).parent() for pid in helpers(folder) if psutil.pid_exists(pid)]
    return {process.pid for process in alive if "trainer.py" in process.cmdline()}


@pytest.fixture
def launched(tmp_path):
    """A launcher with four trainers in shells."""
    (tmp_path / "trainer.py").write_text(TRAINER)
    launcher = subprocess.Popen(["bash", "-c", LAUNCHER], cwd=tmp_path)
    below = psutil.Process(launcher.pid)
    wait_for(lambda: len(trainers(tmp_path)) == RANKS)
    yield launcher
    for process in [*below.children(recursive=True), *map(psutil.Process, helpers(tmp_path))]:
        process.kill()
    launcher.kill()
    launcher.wait()


def test_only_trainers_of_the_launcher_are_killed(launched, tmp_path):
    before = trainers(tmp_path)
    status, said, complaint = kill_trainers("--pid", launched.pid, "--count", 3)
    assert status == 0, complaint
    killed = before - trainers(tmp_path)
    assert len(killed) == 3
    assert all(f"(process {pid})" in said for pid in killed)
    assert all(psutil.pid_exists(pid) for pid in helpers(tmp_path))
    assert launched.poll() is None


@pytest.mark.parametrize("name", [{}, {"HVDTMA_NAME": "0-1"}])
def test_the_driver_of_an_elastic_job_is_no_trainer_on_a_node_without_one(name, tmp_path):
    """A driver is a task of a step, started by submitit, as a trainer that is not elastic is."""
    step = {"SLURM_JOB_ID": "71", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0"}
    (tmp_path / "submitit").mkdir()
    (tmp_path / "submitit/core").mkdir()
    (tmp_path / "submitit/core/_submit.py").write_text("import time; time.sleep(600)")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "submitit.core._submit"],
        cwd=tmp_path,
        env=os.environ | step | {"HVDTMA_DRIVER": "1"} | name,
    )
    try:
        wait_for(lambda: "submitit.core._submit" in psutil.Process(process.pid).cmdline())
        lister = [sys.executable, str(TOOL.with_name("trainers.py")), "71"]
        found = subprocess.run(lister, capture_output=True, text=True, check=True).stdout
        assert [json.loads(line)["pid"] for line in found.splitlines()] == [process.pid] * len(name)
    finally:
        process.kill()
        process.wait()


def test_a_dry_run_kills_nobody(launched, tmp_path):
    _, said, _ = kill_trainers("--pid", launched.pid, "--count", 3, "--dry-run")
    assert said.count("would send SIGKILL") == 3
    assert len(trainers(tmp_path)) == RANKS


def test_a_trainer_can_be_stopped_as_if_it_hung(launched, tmp_path):
    kill_trainers("--pid", launched.pid, "--count", 1, "--signal", "STOP")
    states = [psutil.Process(pid).status() for pid in trainers(tmp_path)]
    assert sorted(states) == ["sleeping"] * (RANKS - 1) + ["stopped"]


def test_it_ends_with_the_job():
    with subprocess.Popen(["sleep", "0.5"]) as launcher:
        began = time.monotonic()
        _, said, _ = kill_trainers("--pid", launcher.pid)
    assert "the job is over" in said
    assert time.monotonic() - began < 30


def test_one_kind_of_job_is_named():
    for wrong in [], ["--job", 1, "--pid", 1]:
        status, _, complaint = kill_trainers(*wrong)
        assert status == 2
        assert "either --job or --pid" in complaint


def test_trainers_on_any_node_of_a_slurm_job_are_killed(slurm, tmp_path):
    (tmp_path / "trainer.py").write_text(TRAINER)
    task = f"exec env HOROVOD_RANK=$SLURM_PROCID {sys.executable} trainer.py started"
    script = f"--wrap=srun --kill-on-bad-exit=0 bash -c '{task}'; sleep 600"
    job = slurm.run("sbatch", "--parsable", "-N4", "-D", tmp_path, "--output=out", script)
    wait_for(lambda: len(trainers(tmp_path)) == RANKS)
    before = trainers(tmp_path)
    status, said, complaint = kill_trainers("--job", job, "--count", 3, env=slurm.env)
    assert status == 0, complaint
    assert "4 were running" in said
    wait_for(lambda: len(before - trainers(tmp_path)) == 3)
    assert all(f"(process {pid})" in said for pid in before - trainers(tmp_path))
    nodes = re.findall(r"trainer (\d) on n(\d)", said)
    assert len(nodes) == 3
    assert all(int(node) == int(rank) + 1 for rank, node in nodes)
    assert slurm.job(job)["JobState"] == "RUNNING"
