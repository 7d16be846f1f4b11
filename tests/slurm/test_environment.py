"""No variables of an enclosing job or step are passed on to srun or sbatch as options."""

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from slurm import submit
from slurm.environment import python_path, step_environment, submission_environment

OUTER_STEP = {
    "SLURM_CPU_BIND": "quiet,mask_cpu:0x1",
    "SLURM_CPU_BIND_LIST": "0x1",
    "SLURM_MEM_BIND": "quiet,local",
    "SLURM_DISTRIBUTION": "cyclic",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n1",
    "SLURM_PROCID": "0",
    "PMI_RANK": "0",
    "PMIX_RANK": "0",
}
OUTER_JOB = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_MEM_PER_CPU": "100"}
OTHERS = {"SBATCH_PARTITION": "nowhere", "OMPI_COMM_WORLD_RANK": "3", "HOROVOD_RANK": "1"}
SBATCH = """\
#!/bin/sh
env > "$0.environment"
echo Submitted batch job 7
"""


def test_a_job_gets_the_folders_of_the_submitters_modules_and_not_pythons_own(
    tmp_path, monkeypatch
):
    mine, here = tmp_path / "mine", tmp_path / "here"
    for folder in (mine, here):
        folder.mkdir()
    own = [path for path in sys.path if path.endswith("packages") or json.__file__.startswith(path)]
    monkeypatch.setattr(sys, "path", [str(mine), *own, str(tmp_path / "gone")])
    monkeypatch.chdir(here)
    assert own
    assert python_path() == f"{mine}{os.pathsep}{here}"
    monkeypatch.setattr(sys, "path", ["", *own, "../mine", str(here)])
    assert [Path(path).resolve() for path in python_path().split(os.pathsep)] == [here, mine]


@pytest.mark.parametrize("before", [None, "/mine"])
def test_variables_of_a_submission_are_gone_afterwards(monkeypatch, before):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if before:
        monkeypatch.setenv("PYTHONPATH", before)
    with submission_environment(PYTHONPATH="/other"):
        assert os.environ["PYTHONPATH"] == "/other"
    assert os.environ.get("PYTHONPATH") == before


@pytest.fixture
def sbatch_environment(tmp_path, monkeypatch):
    """Submit a command with an sbatch that only writes down its environment; returns it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")

    def run():
        submit(["true"], folder=tmp_path / "jobs")
        text = (programs / "sbatch.environment").read_text()
        return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    return run


def test_a_step_of_the_same_job_gets_the_jobs_variables_and_none_of_the_enclosing_steps():
    found = step_environment(OUTER_STEP | OUTER_JOB | {"SRUN_CPUS_PER_TASK": "2", "HOME": "/"})
    assert found == OUTER_JOB | {"SRUN_CPUS_PER_TASK": "2", "HOME": "/"}


def test_gpus_of_the_enclosing_step_are_hidden_and_a_users_own_choice_is_kept():
    chosen = OUTER_JOB | {"CUDA_VISIBLE_DEVICES": "1"}
    assert step_environment(chosen) == chosen
    assert step_environment(chosen | {"SLURM_STEP_GPUS": "3"}) == OUTER_JOB


def test_a_job_that_is_submitted_from_inside_a_job_gets_only_the_clusters_config(
    sbatch_environment, monkeypatch
):
    for name, value in (OUTER_STEP | OUTER_JOB | OTHERS).items():
        monkeypatch.setenv(name, value)
    outer = dict(os.environ)
    found = sbatch_environment()
    assert not set(OUTER_STEP | OUTER_JOB | OTHERS) & set(found)
    assert found["SLURM_CONF"] == "/etc/slurm.conf"
    assert dict(os.environ) == outer


def test_outside_of_a_job_the_users_own_defaults_of_sbatch_hold(sbatch_environment, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    monkeypatch.setenv("PMI_RANK", "1")
    found = sbatch_environment()
    assert found["SBATCH_ACCOUNT"] == "mine"
    assert "PMI_RANK" not in found
