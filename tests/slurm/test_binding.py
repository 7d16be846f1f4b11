"""On a Slurm that binds tasks to CPUs, no enclosing step decides where a trainer runs."""

import os
import sys

import pytest
from cluster import Cluster, has_cgroups, missing_programs
from cluster.cluster import wait_for
from on_cluster import log, sbatch

# Starts a step on the other node, as the driver of an elastic run does.
DRIVER = """
from slurm.workers import Slot, SrunWorkers
command = ["grep", "Cpus_allowed_list", "/proc/self/status"]
step = SrunWorkers("1(x2)").start(Slot("n2", 0), command, {})
print("status", step.wait(), step.refusal)
"""
# Submits a job from inside a step, and keeps the step's CPU until that job runs.
SUBMITTER = """
import os, time
from pathlib import Path
from slurm import submit
from hvdtma.comm.slurm_task import slurm
os.environ |= {"SBATCH_PARTITION": "nowhere", "SLURM_MEM_PER_GPU": "7"}
os.environ |= {"OMPI_COMM_WORLD_RANK": "3", "PMI_RANK": "3"}
Path("cluster.yaml").write_text("sbatch: {nodelist: n1}")
command = ["grep", "Cpus_allowed_list", "/proc/self/status"]
[spec] = submit(command, time="5m", folder="jobs", cluster_config="cluster.yaml").specs
print("job", spec.id)
while slurm("squeue", "--noheader", f"--jobs={spec.id}", "--format=%T").strip() == "PENDING":
    time.sleep(0.2)
"""
REFUSED = """
import os
import slurm.driver
from hvdtma.core.signals import ShutdownSignal
from slurm.driver import Driver
from slurm.workers import SrunWorkers
os.environ["SRUN_CPUS_PER_TASK"] = "1000"
slurm.driver.REFUSAL_DELAY_S = 0.1
print("status", Driver(SrunWorkers("1"), ["true"]).run(ShutdownSignal()))
"""


@pytest.fixture(scope="module")
def bound_cluster(request, tmp_path_factory):
    """Two nodes with the machine's CPUs, which control groups hold tasks on where there are any."""
    if missing_programs() and request.config.getoption("slurm") == "try":
        pytest.skip(f"not installed: {', '.join(missing_programs())}")
    if os.cpu_count() < 2:
        pytest.skip("a node needs two CPUs")
    cluster = Cluster(tmp_path_factory.mktemp("bound"))
    held = "task/cgroup," if has_cgroups() else ""
    cluster.up(nodes=2, cpus=os.cpu_count(), task_plugin=f"{held}task/affinity")
    yield cluster
    cluster.down()


@pytest.fixture
def bound(bound_cluster):
    yield bound_cluster
    bound_cluster.tidy()


@pytest.fixture
def run_in_step(bound, tmp_path):
    """Run Python code in a task that srun starts: (job, output)."""

    def run(code, *options):
        (tmp_path / "code.py").write_text(code)
        (tmp_path / "script").write_text(
            "#!/bin/sh\n"
            f"cd {tmp_path} && srun --overlap --nodes=1 --ntasks=1 {sys.executable} code.py\n"
        )
        job = sbatch(bound, tmp_path / "script", folder=tmp_path, options=options)
        return bound.wait_for_job(job), log(tmp_path)

    return run


def test_a_trainer_starts_on_a_node_where_the_job_has_other_cpus_than_its_driver(
    bound, run_in_step
):
    """The job has the first CPU of n1, and the second of n2."""
    busy = bound.run("sbatch", "--parsable", "-wn2", "--output=/dev/null", "--wrap=sleep 600")
    wait_for(lambda: bound.job(busy)["JobState"] == "RUNNING")
    state, output = run_in_step(DRIVER, "--nodes=2", "--ntasks-per-node=1")
    assert "status 0" in output
    assert "Cpus_allowed_list:\t1" in output
    assert state == "COMPLETED"


def test_a_job_that_is_submitted_from_inside_a_step_has_its_own_size_and_cpus(
    bound, run_in_step, tmp_path
):
    """The step has the first CPU of n1, and the job the second."""
    state, output = run_in_step(SUBMITTER, "--nodelist=n1")
    assert state == "COMPLETED", output
    job = output.split("job ")[1].split()[0]
    assert bound.wait_for_job(job) == "COMPLETED"
    assert "Cpus_allowed_list:\t1" in (tmp_path / f"jobs/{job}_0_log.out").read_text()


def test_three_refusals_end_the_job_with_slurms_reason(run_in_step):
    state, output = run_in_step(REFUSED)
    assert state == "COMPLETED", output
    assert "status 1" in output
    assert output.count("More processors requested than permitted") >= 3
    assert "Slurm refused to start trainer n1:0" in output
