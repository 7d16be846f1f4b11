"""The one-machine cluster does what other tests and its users rely on."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster import Cluster, has_cgroups
from cluster.cluster import wait_for

ROOT = Path(__file__).parents[2]
SLEEP = ("--output=/dev/null", "--wrap=sleep 600")
NODE_NAME = ("sh", "-c", "echo $SLURMD_NODENAME")


def submit(cluster, *arguments):
    return cluster.run("sbatch", "--parsable", *arguments)


def cli(*arguments):
    command = [sys.executable, ROOT / "tests/cluster", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/")


def processes_naming(path):
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except psutil.Error:
            continue
        if any(str(path) in word for word in words):
            found.append(process)
    return found


@pytest.fixture
def short_path(tmp_path_factory):
    """A folder with a name that is short enough for Slurm's sockets."""
    return tmp_path_factory.mktemp("c")


def test_tasks_run_on_every_node(slurm):
    assert slurm.nodes == ["n1", "n2", "n3", "n4"]
    assert sorted(slurm.run("srun", "-N4", *NODE_NAME).split()) == slurm.nodes


def test_a_node_takes_several_tasks(slurm):
    assert slurm.run("srun", "-N1", "-n2", *NODE_NAME).split() == ["n1"] * 2


@pytest.mark.skipif(os.cpu_count() < 2, reason="a node needs two CPUs")
def test_tasks_of_a_node_are_bound_to_cpus_of_their_own(slurm):
    bound = slurm.run("srun", "-N1", "-n2", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert sorted(bound.split()[1::2]) == ["0", "1"]


@pytest.mark.skipif(os.cpu_count() < 2 or not has_cgroups(), reason="no control groups here")
def test_a_task_cannot_leave_the_cpus_of_its_job_where_control_groups_hold_it(short_path):
    other = Cluster(short_path / "held")
    other.up(nodes=1, cpus=os.cpu_count(), task_plugin="task/cgroup,task/affinity")
    try:
        tried = [sys.executable, "-c", "import os; os.sched_setaffinity(0, {1})"]
        job = other.run(
            "sbatch", "--parsable", "--output=/dev/null", "-n1", "--wrap", f"{shlex.join(tried)}"
        )
        assert other.wait_for_job(job) == "FAILED"
    finally:
        other.down()
    assert not list(Path("/sys/fs/cgroup").glob("*/slurm_n1/uid_*/job_*"))


def test_a_requeued_job_runs_again_under_its_id(slurm, tmp_path):
    out = tmp_path / "out"
    script = "--wrap=echo run ${SLURM_RESTART_COUNT:-0}; sleep 600"
    job = submit(slurm, "--requeue", "--open-mode=append", f"--output={out}", script)
    wait_for(lambda: out.exists() and "run 0\n" in out.read_text())
    slurm.run("scontrol", "requeue", job)
    wait_for(lambda: "run 1\n" in out.read_text())
    assert slurm.job(job)["Restarts"] == "1"


def test_a_job_of_the_low_partition_makes_room(slurm):
    low = submit(slurm, "--partition=low", "-N4", "--exclusive", *SLEEP)
    slurm.wait_for_job(low, "RUNNING")
    assert sorted(slurm.run("srun", "-N4", "--exclusive", *NODE_NAME).split()) == slurm.nodes
    assert slurm.job(low)["JobState"] == "PENDING"
    slurm.wait_for_job(low, "RUNNING")
    assert slurm.job(low)["Restarts"] == "1"


def test_a_node_set_down_is_out_until_resumed(slurm):
    slurm.set_node("n2", "down")
    assert slurm.node_state("n2") == "down"
    assert sorted(slurm.run("srun", "-N3", *NODE_NAME).split()) == ["n1", "n3", "n4"]
    slurm.set_node("n2", "resume")
    assert sorted(slurm.run("srun", "-N4", *NODE_NAME).split()) == slurm.nodes


def test_the_job_of_a_crashed_node_is_requeued_to_others(slurm):
    job = submit(slurm, "--requeue", "-N2", *SLEEP)
    slurm.wait_for_job(job, "RUNNING")
    _, crashed = slurm.nodes_of(job)
    slurm.crash_node(crashed)
    slurm.wait_for_job(job, "PENDING")
    slurm.wait_for_job(job, "RUNNING")
    assert slurm.node_state(crashed).startswith("down")
    assert crashed not in slurm.nodes_of(job)


def test_the_next_test_finds_all_nodes_idle(slurm):
    slurm.wait_for_job(submit(slurm, "-N4", *SLEEP), "RUNNING")
    slurm.crash_node("n2")
    slurm.set_node("n3", "down")
    slurm.tidy()
    assert sorted(slurm.run("srun", "-N4", *NODE_NAME).split()) == slurm.nodes


def test_a_job_that_ends_is_waited_for(slurm):
    assert slurm.wait_for_job(submit(slurm, "--output=/dev/null", "--wrap=true")) == "COMPLETED"
    assert slurm.wait_for_job(submit(slurm, "--output=/dev/null", "--wrap=false")) == "FAILED"


def test_two_clusters_live_side_by_side_and_go_without_a_trace(slurm, short_path):
    other = Cluster(short_path / "other")
    other.up(nodes=2, cpus=1)
    job = submit(other, "-N2", "--output=/dev/null", "--wrap=srun sh -c 'setsid sleep 600 & wait'")
    wait_for(lambda: "sleep" in {process.name() for process in processes_naming(other.directory)})
    assert not slurm.run("squeue", "-h")
    assert other.job(job)["JobState"] == "RUNNING"
    other.down()
    assert not processes_naming(other.directory)
    assert not other.directory.exists()
    assert len(slurm.run("srun", "-N4", *NODE_NAME).split()) == 4


def test_a_cluster_that_does_not_start_says_why_and_leaves_nothing(slurm, short_path):
    with pytest.raises(RuntimeError, match="SlurmdTimeout value"):
        Cluster(short_path / "other").up(nodes=1, node_timeout_s="soon")
    assert not (short_path / "other").exists()
    assert not processes_naming(short_path / "other")


def test_down_spares_what_is_not_a_cluster(tmp_path):
    (tmp_path / "slurm.conf").write_text("StateSaveLocation=/var/spool/slurm/state\n")
    with pytest.raises(RuntimeError, match="nothing removed"):
        Cluster(tmp_path).down()
    assert (tmp_path / "slurm.conf").exists()


def test_up_status_and_down_from_the_command_line(slurm, short_path):
    where = ("--dir", short_path / "cli")
    began = cli("up", *where, "--nodes", 2, "--cpus", 1)
    assert "2 nodes are up" in began.stdout, began.stderr
    assert cli("env", *where).stdout == f"export SLURM_CONF={short_path}/cli/slurm.conf\n"
    assert "idle n[1-2]" in cli("status", *where).stdout
    again = cli("up", *where)
    assert again.returncode == 1
    assert "take it down first" in again.stderr
    assert cli("down", *where).returncode == 0
    assert not processes_naming(short_path / "cli")
    assert cli("status", *where).returncode == 1
