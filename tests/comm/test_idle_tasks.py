"""A trainer that is alone in a job of several tasks says so, with the command to use."""

import sys
from pathlib import Path

import pytest

from hvdtma.comm import join
from hvdtma.comm.slurm_task import SlurmTask, tasks_without_srun

BATCH = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_JOB_NUM_NODES": "1"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURMD_NODENAME": "n1"}
SHELL = {"SLURM_STEP_ID": str(0xFFFFFFFA), "SLURM_STEP_NUM_TASKS": "1", "SLURMD_NODENAME": "n1"}


@pytest.mark.parametrize(
    ("more", "tasks"),
    [
        ({"SLURM_NTASKS": "4"}, 4),  # sbatch -n4
        ({"SLURM_JOB_NUM_NODES": "3"}, 3),  # salloc -N3
        ({"SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "3"}, 6),
        ({"SLURM_NTASKS": "4"} | SHELL, 4),  # the shell that salloc opens on a node
        ({}, 1),
        ({"SLURM_CPUS_ON_NODE": "64", "SLURM_TASKS_PER_NODE": "64"}, 1),  # one task, a whole node
        ({"SLURM_NTASKS": "4"} | STEP, 0),  # srun -n1 in a job of four tasks
    ],
)
def test_tasks_that_srun_did_not_start_are_counted(more, tasks):
    assert tasks_without_srun(BATCH | more) == tasks


def test_outside_of_slurm_there_are_none():
    assert tasks_without_srun({"SLURM_NTASKS": "4"}) == 0


def test_the_shell_of_an_allocation_is_no_task():
    assert SlurmTask.from_environ(BATCH | SHELL | {"SLURM_JOB_NODELIST": "n1"}) is None


@pytest.fixture
def joined(monkeypatch, capsys):
    """Join as the batch script of a job; returns what is printed."""

    def run(*words, **variables):
        for name, value in (BATCH | variables).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", list(words))
        assert join.join_trainers().size == 1
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("/venv/bin/hvdtma", "train", "my c.yaml"), "srun hvdtma train 'my c.yaml'"),
        (("/x/hvdtma/__main__.py", "train", "c.yaml"), "srun hvdtma train c.yaml"),
        (("mine.py", "--lr", "1"), "srun python mine.py --lr 1"),
    ],
)
def test_a_forgotten_srun_is_one_line_with_the_command(joined, words, command):
    said = joined(*words, SLURM_NTASKS="4")
    assert said.count("\n") == 1
    assert "this job has 4 tasks, but srun did not start this process" in said
    assert said.endswith(f"For 4 trainers: {command}\n")


def test_a_job_of_one_task_is_not_warned_of(joined):
    assert not joined(str(Path("hvdtma")), "train", "c.yaml", SLURM_NTASKS="1")
