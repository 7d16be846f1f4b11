"""The choice of a communicator by launcher, and what is refused."""

import subprocess
import sys

import pytest

from hvdtma.comm import SingleProcess, transport
from hvdtma.comm.join import join_trainers
from hvdtma.core.errors import UserError
from hvdtma.core.launcher import LAUNCHERS, launched_as, launcher_name

VALUES = {
    "horovodrun": ("2", "5"),
    "mpirun": ("2", "5"),
    "torchrun": ("2", "5", "localhost", "29500"),
    "submitit": ("2", "5"),
    "srun": ("2", "5"),
}


@pytest.fixture
def started_by(monkeypatch):
    """A function that sets the variables of a launcher."""

    def start(*names):
        for name in names:
            for variable, value in zip(LAUNCHERS[name], VALUES[name], strict=True):
                monkeypatch.setenv(variable, value)

    return start


@pytest.mark.parametrize("name", LAUNCHERS)
def test_each_launcher_is_known_by_its_variables(started_by, name):
    assert (launcher_name(), launched_as()) == (None, (0, 1))
    started_by(name)
    assert (launcher_name(), launched_as()) == (name, (2, 5))


def test_a_launcher_inside_srun_counts_rather_than_srun(started_by, monkeypatch):
    started_by("torchrun", "srun")
    assert launcher_name() == "torchrun"
    monkeypatch.delenv("MASTER_PORT")  # a rank and a size may have other reasons
    assert launcher_name() == "srun"


@pytest.mark.parametrize("asked", ["auto", "horovod", "torch"])
def test_a_process_that_nobody_started_is_alone(asked):
    assert isinstance(join_trainers(transport=asked), SingleProcess)


def test_a_step_of_one_task_is_alone(monkeypatch):
    step = {"JOB_ID": "7", "STEP_ID": "0", "PROCID": "0", "STEP_NUM_TASKS": "1"}
    for name, value in (step | {"STEP_NODELIST": "n1"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    assert isinstance(join_trainers(), SingleProcess)


@pytest.mark.parametrize(
    ("launcher", "asked", "elastic", "message"),
    [
        (None, "gloo", False, "--comm is 'gloo'; valid: auto, horovod, torch"),
        (
            "horovodrun",
            "torch",
            False,
            "horovodrun started this process; valid here: auto, horovod",
        ),
        ("mpirun", "torch", False, "mpirun started this process"),
        ("torchrun", "horovod", False, "torchrun started this process; valid here: auto, torch"),
        ("torchrun", "auto", True, "elastic=true needs Horovod"),
        ("horovodrun", "auto", True, "elastic trainers need a driver"),
        (None, "auto", True, "elastic trainers need a driver"),
    ],
)
def test_what_does_not_fit_the_launcher_is_refused(started_by, launcher, asked, elastic, message):
    if launcher:
        started_by(launcher)
    with pytest.raises(UserError, match=message):
        join_trainers(transport=asked, elastic=elastic)


def test_an_elastic_launcher_needs_an_elastic_config(started_by, monkeypatch):
    started_by("horovodrun")
    monkeypatch.setenv("HOROVOD_ELASTIC", "1")
    with pytest.raises(UserError, match="add elastic=true"):
        join_trainers()


@pytest.mark.parametrize("elastic", [False, True])
def test_without_horovod_its_launcher_is_refused_and_the_alternative_named(
    started_by, monkeypatch, elastic
):
    started_by("horovodrun")
    monkeypatch.setenv("HOROVOD_ELASTIC", str(int(elastic)))
    monkeypatch.setattr(transport, "has_horovod", lambda: False)
    with pytest.raises(UserError, match="horovodrun started this process, but Horovod") as refused:
        join_trainers(elastic=elastic)
    assert ("torchrun" in str(refused.value)) is not elastic
    assert ("elastic=false" in str(refused.value)) is elastic


IMPORT = """
import importlib, pkgutil, sys
import hvdtma.comm
for module in pkgutil.walk_packages(hvdtma.comm.__path__, "hvdtma.comm."):
    if module.name not in ("hvdtma.comm.horovod", "hvdtma.comm.groups"):
        importlib.import_module(module.name)
assert "hvdtma.comm.join" in sys.modules
assert "horovod" not in sys.modules
"""


def test_only_horovods_own_modules_import_horovod():
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
