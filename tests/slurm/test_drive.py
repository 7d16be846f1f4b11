"""Elastic trainers on this machine: one is lost, the others go on."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from processes import command

from hvdtma.comm import transport
from hvdtma.core.config import dump_config
from hvdtma.core.errors import INTERRUPTED, UserError
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.checkpoint import folders
from slurm import driver

TRAINERS = 3


@pytest.fixture
def job(community_store, tmp_path):
    """A function that starts a driven job with changes to its config."""
    jobs = []

    def start(*options, trainers=TRAINERS, **changes):
        jobs.append(Job(community_store, tmp_path, options, trainers, changes))
        return jobs[-1]

    yield start
    for each in jobs:
        each.end()


class Job:
    """A running `hvdtma drive --local`."""

    def __init__(self, store, folder, options, trainers, changes):
        values = {
            "store": str(store.path),
            "run": str(folder / "run"),
            "interval_s": 0.5,
            "rounds": 8,
            "threads": 1,
            "elastic": True,
            "hang_limit_s": 5,
            "model": {"hidden": 8},
            "task": {"batch_size": 64},
            "evaluate": {"mode": "final"},
        }
        config = parse_config(values | changes)
        dump_config(config, folder / "c.yaml")
        self.run = RunFolder(config.run)
        drive = command("drive", folder / "c.yaml", "--local", trainers, *options)
        self.size = trainers
        self.driver = subprocess.Popen(drive, stderr=subprocess.PIPE, text=True)

    def events(self, kind):
        return [event for event in self.run.events() if event["kind"] == kind]

    def trainers(self):
        """The trainers' processes, in order of their first ranks."""
        found = []
        for process in psutil.Process(self.driver.pid).children():
            with suppress(psutil.NoSuchProcess):  # ended meanwhile, or a zombie
                names = process.environ()
                if "HVDTMA_NAME" in names:
                    found.append((names["HVDTMA_NAME"], process))
        return [process for _, process in sorted(found, key=lambda pair: pair[0])]

    def wait_for(self, condition, timeout_s=90):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.driver.poll() is None, self.driver.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait_for_round(self, number):
        self.wait_for(lambda: len(self.events("round")) >= number)

    def wait(self):
        """Exit status and stderr of the driver."""
        _, printed = self.driver.communicate(timeout=120)
        return self.driver.returncode, printed

    def end(self):
        if self.driver.poll() is None:
            self.driver.terminate()
            for process in self.trainers():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.driver.wait()
        self.driver.stderr.close()

    def assert_complete(self, rounds=8):
        assert [event["round"] for event in self.events("round")] == list(range(1, rounds + 1))
        assert self.run.summary.exists()


def test_the_others_go_on_without_a_killed_trainer(job):
    job = job("--max-restarts", 0)
    job.wait_for_round(2)
    job.trainers()[1].send_signal(signal.SIGKILL)
    status, printed = job.wait()
    assert status == 0, printed
    job.assert_complete()
    [change] = job.events("members")
    assert (change["lost"], change["joined"], change["trainers"]) == (1, 0, 2)
    assert [len(event["trainers"]) for event in job.events("round")][-1] == 2
    assert len(job.events("assignment")) == 1  # on_loss: continue


def test_the_others_go_on_without_the_first_trainer_too(job):
    """Another one keeps the record, without a gap."""
    job = job("--max-restarts", 0)
    job.wait_for_round(2)
    job.trainers()[0].send_signal(signal.SIGKILL)
    status, printed = job.wait()
    assert status == 0, printed
    job.assert_complete()


def test_if_all_are_lost_at_once_others_go_on_from_the_newest_checkpoint(job):
    job = job("--restart-delay-s", 0, trainers=2, rounds=12, checkpoint={"every": 2})
    job.wait_for_round(5)
    for trainer in job.trainers():
        trainer.kill()
    status, printed = job.wait()
    assert status == 0, printed
    job.assert_complete(12)
    assert printed.count("was lost (status -9)") == job.size
    assert not job.events("members")  # no trainer was left to record it


def test_a_trainer_that_is_lost_where_all_meet_does_not_take_the_others_along(job):
    """Killed three times before the first round, when they may have their ranks."""
    job = job("--restart-delay-s", 0, trainers=2, rounds=4)
    job.wait_for(lambda: len(job.trainers()) == job.size)
    for _ in range(3):
        time.sleep(0.7)
        job.trainers()[-1].kill()
    status, printed = job.wait()
    assert status == 0, printed
    job.assert_complete(4)
    assert "terminate called" not in printed


def test_a_run_that_is_driven_is_not_driven_twice(job):
    first = job(trainers=2, rounds=1000)
    first.wait_for_round(1)
    for options in ((), ("--overwrite",)):
        status, printed = job(*options, rounds=1000).wait()
        assert status == 2
        assert "is being trained by another process" in printed
    first.driver.send_signal(signal.SIGTERM)
    assert first.wait()[0] == INTERRUPTED


def test_a_trainer_that_is_told_to_end_while_it_starts_is_lost_and_the_other_trains_on(job):
    job = job("--restart-delay-s", 0, trainers=2, rounds=1000)
    job.wait_for_round(2)
    job.trainers()[1].kill()
    job.wait_for(lambda: len(job.trainers()) == job.size)
    time.sleep(2)
    job.trainers()[1].send_signal(signal.SIGTERM)
    job.wait_for(lambda: any(change["joined"] for change in job.events("members")))
    job.wait_for_round(len(job.events("round")) + 2)
    job.driver.send_signal(signal.SIGTERM)
    assert job.wait()[0] == INTERRUPTED


def test_trainers_that_wait_for_others_save_when_the_job_is_told_to_end(job):
    job = job("--max-restarts", 0, rounds=1000, min_trainers=3, rejoin_timeout_s=1000)
    job.wait_for_round(2)
    job.trainers()[1].kill()
    time.sleep(3)
    job.driver.send_signal(signal.SIGUSR2)
    status, printed = job.wait()
    assert status == INTERRUPTED
    assert "and saved; resume with: hvdtma drive" in printed
    assert folders(job.run)


def test_a_run_is_replaced_only_after_everything_else_was_checked(job, tmp_path):
    old = tmp_path / "run" / "versions.json"
    old.parent.mkdir()
    old.write_text('{"format": "hvdtma-run"}')
    for changes, why in (
        ({"min_trainers": 5}, "min_trainers is 5"),
        ({"store": "nowhere.zarr"}, "nowhere.zarr"),
    ):
        status, printed = job("--overwrite", **changes).wait()
        assert status == 2
        assert why in printed
        assert old.exists()


def test_without_horovod_nothing_is_started_or_replaced(community_store, tmp_path, monkeypatch):
    old = tmp_path / "run" / "versions.json"
    old.parent.mkdir()
    old.write_text('{"format": "hvdtma-run"}')
    path = tmp_path / "c.yaml"
    values = {"store": str(community_store.path), "run": str(old.parent)}
    dump_config(parse_config(values | {"rounds": 1, "elastic": True}), path)
    monkeypatch.setattr(transport, "has_horovod", lambda: False)
    monkeypatch.setattr(driver.Driver, "run", lambda *_: pytest.fail("trainers were started"))
    with pytest.raises(UserError, match=r"elastic=true needs Horovod.*; or set elastic=false"):
        driver.drive(path, local=2, overwrite=True)
    assert old.exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"optimizer": {"name": "adamw", "lr": 1e9, "weight_decay": 1e9}}, "not finite"),
        ({"memory_gb": 1e-6}, "memory_gb"),
    ],
    ids=["in training", "at the start"],
)
def test_an_error_of_all_trainers_ends_the_job(job, changes, why):
    status, printed = job("--restart-delay-s", 0, trainers=2, **changes).wait()
    assert status == 2, printed
    assert why in printed
    assert "was lost" not in printed


def test_blocks_of_a_lost_trainer_are_reassigned_to_the_others(job):
    job = job("--max-restarts", 0, on_loss="reassign")
    job.wait_for_round(2)
    job.trainers()[2].send_signal(signal.SIGKILL)
    status, printed = job.wait()
    assert status == 0, printed
    job.assert_complete()
    first, second = job.events("assignment")
    assert (len(first["trainers"]), len(second["trainers"])) == (3, 2)
    assert sum(shard["blocks"] for shard in second["trainers"]) == 60


@pytest.mark.parametrize("on_loss", ["continue", "reassign"])
def test_a_lost_trainer_is_started_again_and_joins(job, on_loss):
    job = job("--restart-delay-s", 0, rounds=100, on_loss=on_loss)
    job.wait_for_round(2)
    job.trainers()[1].send_signal(signal.SIGKILL)
    job.wait_for(lambda: any(change["joined"] for change in job.events("members")))
    joined = job.events("round")[-1]["round"]
    job.wait_for_round(joined + 2)
    assert len(job.events("round")[-1]["trainers"]) == TRAINERS
    assert job.events("round")[-1]["trainers"][-1]["steps"] > 0
    if on_loss == "reassign":
        assert len(job.events("assignment")[-1]["trainers"]) == TRAINERS
    slots = [process.environ()["HVDTMA_SLOT"] for process in job.trainers()]
    assert sorted(slots) == [str(slot) for slot in range(TRAINERS)]
    job.driver.send_signal(signal.SIGTERM)
    assert job.wait()[0] == INTERRUPTED


def test_a_trainer_that_hangs_is_ended_and_the_others_go_on(job):
    job = job("--max-restarts", 0)
    job.wait_for_round(2)
    stopped = job.trainers()[1]
    stopped.send_signal(signal.SIGSTOP)
    status, printed = job.wait()
    assert status == 0, printed
    job.assert_complete()
    assert not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE


def test_too_few_trainers_wait_then_save_and_end_with_a_clear_status(job):
    job = job("--max-restarts", 0, rounds=1000, min_trainers=3, rejoin_timeout_s=1)
    job.wait_for_round(3)
    job.trainers()[1].send_signal(signal.SIGKILL)
    status, printed = job.wait()
    assert status == INTERRUPTED
    assert "fewer than 3 trainers are left" in printed
    assert folders(job.run)
    done = job.events("round")[-1]["round"]
    again = command("train", "--resume", job.run.path, f"rounds={done + 2}", "elastic=false")
    subprocess.run(again, check=True, env=os.environ, cwd=Path.cwd())
    job.assert_complete(done + 2)


def test_too_few_trainers_at_the_start_end_with_the_status_that_requeues_a_job(job):
    """One of two ends at once, and is not started again."""
    job = job("--max-restarts", 0, trainers=2, min_trainers=2, rejoin_timeout_s=1)
    job.wait_for(lambda: len(job.trainers()) == job.size)
    job.trainers()[1].kill()
    status, printed = job.wait()
    assert status == INTERRUPTED
    assert "fewer than 2 trainers are left, or came in time; nothing was trained" in printed


def test_sigterm_to_the_driver_saves_the_run_and_another_driver_resumes_it(job):
    first = job(trainers=2, rounds=1000)
    first.wait_for_round(2)
    first.driver.send_signal(signal.SIGTERM)
    status, printed = first.wait()
    assert status == INTERRUPTED, printed
    done = len(first.events("round"))
    second = job("--or-resume", trainers=2, rounds=done + 2)
    status, printed = second.wait()
    assert status == 0, printed
    second.assert_complete(done + 2)
