"""A task that fails before all have met does not leave the others waiting."""

import os
import signal
import sys
import time
from contextlib import suppress

import pytest
from srun_steps import Step

from hvdtma.comm.meeting_files import OLD_S, FailureNotes
from hvdtma.comm.slurm_task import SlurmTask, node_names
from hvdtma.core.config import dump_config
from hvdtma.core.errors import Interrupted, TrainerError, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder


@pytest.fixture
def config(community_store, tmp_path):
    """The config of a short run in a folder, as a file."""

    def write(run, **changes):
        values = {"store": str(community_store.path), "run": str(run), "rounds": 2}
        values |= {"interval_steps": 2, "threads": 1, "model": {"hidden": 8}}
        values |= {"evaluate": {"mode": "final"}, "log": []}
        dump_config(parse_config(values | changes), tmp_path / "c.yaml")
        return tmp_path / "c.yaml"

    return write


def test_tasks_on_one_node_need_no_command_of_slurm(config, tmp_path):
    statuses, said = Step(tmp_path, config(tmp_path / "run"), ["n1", "n1"]).ends()
    assert statuses == [0, 0], said
    assert RunFolder(tmp_path / "run").summary.exists()
    assert not list(tmp_path.glob(".hvdtma-*"))


def test_a_folder_that_cannot_be_made_ends_all_tasks_with_one_message(config, tmp_path):
    (tmp_path / "file").touch()
    statuses, said = Step(tmp_path, config(tmp_path / "file/run"), ["n1"] * 2).ends()
    assert statuses == [2, 0]  # the first one's status is that of the step
    assert "file" in said[0] and "error:" in said[0]
    assert not said[1]


def test_nodes_that_cannot_be_listed_end_all_tasks_with_one_message(config, tmp_path):
    statuses, said = Step(tmp_path, config(tmp_path / "run"), ["n1", "n2"]).ends()
    assert statuses == [2, 0]
    assert "scontrol is not installed; trainers on several nodes need it" in said[0]
    assert not said[1]


class OneFails(Step):
    """A step in which one task fails in the meeting in a way of its own."""

    failing = 0
    error = "RuntimeError('the network card is gone')"

    def words(self, rank, config, words):
        if rank != self.failing:
            return super().words(rank, config, words)
        code = (
            "import sys, hvdtma.comm.slurm_meeting as m\n"
            "from hvdtma.core.errors import *\n"
            f"def fail(*_): raise {self.error}\n"
            "m._meet = fail\n"
            "from hvdtma.cli import main\n"
            f"sys.argv = {['hvdtma', 'train', str(config), *words]}\n"
            "main()\n"
        )
        return [sys.executable, "-c", code]


def test_the_reason_of_the_first_task_reaches_the_others(config, tmp_path):
    statuses, said = OneFails(tmp_path, config(tmp_path / "run"), ["n1"] * 2).ends()
    assert statuses == [1, 0]
    assert "the network card is gone" in said[0]


@pytest.mark.parametrize("transport", ["horovod", "torch"])
def test_the_reason_of_another_task_is_printed_once_by_the_first(config, tmp_path, transport):
    class Third(OneFails):
        failing = 2
        error = "TrainerError('Horovod is not installed')"

    words = ("--comm", transport)
    statuses, said = Third(tmp_path, config(tmp_path / "run"), ["n1"] * 3, *words).ends()
    assert statuses == [2, 0, 2]
    whole = "trainer 2 on n1 failed before all trainers had met: Horovod is not installed"
    assert whole in " ".join(said[0].split())
    assert not said[1]


def test_a_task_that_is_interrupted_interrupts_those_that_wait_for_it(config, tmp_path):
    class Second(OneFails):
        failing = 1
        error = "Interrupted('interrupted before all trainers had met')"

    statuses, said = Second(tmp_path, config(tmp_path / "run"), ["n1"] * 2).ends()
    assert statuses == [75, 0]
    assert "trainer 1 on n1: interrupted before all trainers had met" in said[0]


@pytest.mark.parametrize(
    ("error", "handler"), [(Interrupted("x"), signal.SIG_IGN), (UserError("x"), signal.SIG_DFL)]
)
def test_slurm_cannot_change_the_status_of_a_task_that_was_interrupted_by_another(error, handler):
    """The first task ends with a status for which Slurm terminates the others."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with suppress(type(error)), ShutdownSignal(process_ends=True):
            raise error
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def task(rank=1, key="7.2.0", node="n1"):
    return SlurmTask(rank, 2, node, "n[1-2]", key)


def test_the_first_reason_stays_and_is_of_this_attempt_only(tmp_path):
    for rank, reason in ((1, UserError("the cause")), (0, TrainerError("a consequence"))):
        FailureNotes(tmp_path, task(rank)).write(reason)
    with pytest.raises(UserError, match=r"trainer 1 on n1 failed .*: the cause"):
        FailureNotes(tmp_path, task(0)).check()
    FailureNotes(tmp_path, task(0, key="7.2.1")).check()
    FailureNotes(tmp_path, task(0, key="7.3.0")).write(Interrupted("told to end"))
    with pytest.raises(Interrupted, match="trainer 0 on n1: told to end"):
        FailureNotes(tmp_path, task(1, key="7.3.0")).check()


def test_a_reason_that_others_could_have_written_is_not_believed(tmp_path):
    notes = FailureNotes(tmp_path, task())
    notes.write(UserError("x"))
    notes.path.chmod(0o644)
    with pytest.raises(TrainerError, match="not trusted"):
        FailureNotes(tmp_path, task()).check()


def test_old_reasons_are_removed_and_new_ones_stay(tmp_path):
    old, new = (FailureNotes(tmp_path, task(key=key)) for key in ("1.0.0", "2.0.0"))
    for notes in (old, new):
        notes.write(UserError("x"))
    os.utime(old.path, (time.time() - OLD_S - 60,) * 2)
    new.remove_old()
    assert [path.name for path in tmp_path.iterdir()] == [new.path.name]


def test_one_name_is_a_list_of_nodes_without_slurm(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert node_names("gpu-17") == ["gpu-17"]
    for several in ("n[1-2]", "n1,n2"):
        with pytest.raises(UserError, match="scontrol is not installed"):
            node_names(several)
