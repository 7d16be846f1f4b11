"""A trainer whose job step Slurm refuses is not a lost trainer; the driver prints the reason."""

import subprocess

import pytest

import slurm.driver
from hvdtma.core.signals import ShutdownSignal
from slurm.driver import FAILED, Driver
from slurm.workers import Slot, SrunStep, WorkerProcess

REASON = "Unable to create step for job 7: More processors requested than permitted"


class FakeProcess(WorkerProcess):
    """Runs until `status` returns a number."""

    def __init__(self, status, refusal=""):
        self._status, self._refusal = status, refusal

    @property
    def refusal(self):
        return self._refusal

    def poll(self):
        return self._status()

    def wait(self, timeout_s=None):
        return 0

    def kill(self):
        self._status = lambda: 137


class FakeWorkers:
    """One slot on each node; `processes` makes the process of a slot, given its name."""

    address = "127.0.0.1"

    def __init__(self, **processes):
        self.processes, self.starts = processes, []

    def slots(self):
        return [Slot(node, 0) for node in self.processes]

    def out_of_service(self):
        return set()

    def start(self, slot, command, variables):
        self.starts.append(slot.node)
        return self.processes[slot.node](variables["HVDTMA_NAME"])


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setattr(slurm.driver, "REFUSAL_DELAY_S", 0.0)
    monkeypatch.setattr(slurm.driver, "TICK_S", 0.01)
    return lambda workers: Driver(workers, ["train"], restart_delay_s=0, max_restarts=0)


def refused(name):
    return FakeProcess(lambda: 1, REASON)


def training(name):
    return FakeProcess(lambda: None)


def test_three_refusals_in_a_row_end_a_job_that_has_not_begun_to_train(driver, capsys):
    workers = FakeWorkers(n1=training, n2=refused)
    assert driver(workers).run(ShutdownSignal()) == FAILED
    assert workers.starts.count("n2") == 3
    printed = capsys.readouterr().err
    assert printed.count(REASON) == 3
    assert "the job ends" in printed
    assert "was lost" not in printed


def test_a_refusal_is_not_a_loss(driver, capsys):
    """With max_restarts=0 a lost trainer would not be started again."""

    def refused_twice(name):
        if len(workers.starts) < 3:
            return refused(name)
        driven.members.finished.add(name)
        return FakeProcess(lambda: 0)

    workers = FakeWorkers(n1=refused_twice)
    driven = driver(workers)
    assert driven.run(ShutdownSignal()) == 0
    refusals = "Slurm refused to start trainer n1:0 (next try in 0 s)"
    assert capsys.readouterr().err.count(refusals) == 2


def test_trainers_that_train_continue_without_one_that_slurm_refuses(driver, capsys):
    def finishes_when_alone(name):
        driven.members.generation = 1

        def status():
            if driven.fleet[1].final_status is None:
                return None
            driven.members.finished.add(name)
            return 0

        return FakeProcess(status)

    workers = FakeWorkers(n1=finishes_when_alone, n2=refused)
    driven = driver(workers)
    assert driven.run(ShutdownSignal()) == 0
    assert workers.starts.count("n2") == 3
    assert f"given up after 3 refusals in a row): {REASON}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"echo 'srun: error: {REASON}' >&2; exit 1", REASON),
        ("echo 'srun: error: n1: task 0: Exited with exit code 1' >&2; exit 1", ""),
        ("echo 'srun: error: Node failure on n1' >&2; exit 0", ""),
        (f"echo 'Traceback: {REASON}' >&2; exit 1", ""),
    ],
    ids=["refused", "failed", "node failure", "the trainer's own message"],
)
def test_a_refusal_is_told_from_a_trainer_that_failed(script, reason, capfd):
    step = SrunStep(subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE))
    step.wait()
    assert step.refusal == reason
    assert capfd.readouterr().err.strip() in script
