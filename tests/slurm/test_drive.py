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

from hvdtma.core.config import dump_config
from hvdtma.core.errors import INTERRUPTED
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.checkpoint import folders

TRAINERS = 3


@pytest.fixture
def job(community_store, tmp_path):
    """A function that starts a driven job with changes to its config."""
    jobs = []

    def start(*options, **changes):
        jobs.append(Job(community_store, tmp_path, options, changes))
        return jobs[-1]

    yield start
    for each in jobs:
        each.end()


class Job:
    """`hvdtma drive --local` at work."""

    def __init__(self, store, folder, options, changes):
        values = {
            "store": str(store.path),
            "run": str(folder / "run"),
            "interval_s": 1.0,
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
        drive = command("drive", folder / "c.yaml", "--local", TRAINERS, *options)
        self.driver = subprocess.Popen(drive, stderr=subprocess.PIPE, text=True)

    def events(self, kind):
        return [event for event in self.run.events() if event["kind"] == kind]

    def trainers(self):
        """Its trainers' processes by rank at the start."""
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
        """Its status, and what it said."""
        _, said = self.driver.communicate(timeout=120)
        return self.driver.returncode, said

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
    status, said = job.wait()
    assert status == 0, said
    job.assert_complete()
    [change] = job.events("members")
    assert (change["lost"], change["joined"], change["trainers"]) == (1, 0, 2)
    assert [len(event["trainers"]) for event in job.events("round")][-1] == 2
    assert len(job.events("assignment")) == 1  # on_loss: continue


def test_the_first_trainer_is_not_needed_either(job):
    """Another one keeps the record, and misses no round."""
    job = job("--max-restarts", 0)
    job.wait_for_round(2)
    job.trainers()[0].send_signal(signal.SIGKILL)
    status, said = job.wait()
    assert status == 0, said
    job.assert_complete()


def test_if_all_are_lost_at_once_others_go_on_from_the_newest_checkpoint(job):
    job = job("--restart-delay-s", 0, rounds=12, checkpoint={"every": 2})
    job.wait_for_round(5)
    for trainer in job.trainers():
        trainer.kill()
    status, said = job.wait()
    assert status == 0, said
    job.assert_complete(12)
    assert said.count("was lost (status -9)") == TRAINERS
    assert not job.events("members")  # nobody was there to see it


def test_one_lost_where_the_trainers_meet_does_not_take_the_others_along(job):
    """Killed as soon as they may have their places, before the first round."""
    job = job("--restart-delay-s", 0, rounds=4)
    job.wait_for(lambda: len(job.trainers()) == TRAINERS)
    for _ in range(3):
        time.sleep(0.7)
        job.trainers()[-1].kill()
    status, said = job.wait()
    assert status == 0, said
    job.assert_complete(4)
    assert "terminate called" not in said


def test_a_run_that_is_driven_is_not_driven_twice(job):
    first = job(rounds=1000)
    first.wait_for_round(1)
    for options in ((), ("--overwrite",)):
        status, said = job(*options, rounds=1000).wait()
        assert status == 2
        assert "is being trained by another process" in said
    first.driver.send_signal(signal.SIGTERM)
    assert first.wait()[0] == INTERRUPTED


def test_one_told_to_end_while_it_starts_is_lost_and_the_others_train_on(job):
    job = job("--restart-delay-s", 0, rounds=1000)
    job.wait_for_round(2)
    job.trainers()[1].kill()
    job.wait_for(lambda: len(job.trainers()) == TRAINERS)
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
    time.sleep(5)
    job.driver.send_signal(signal.SIGUSR2)
    status, said = job.wait()
    assert status == INTERRUPTED
    assert "and saved; go on with: hvdtma drive" in said
    assert folders(job.run)


def test_a_run_is_replaced_only_once_all_else_was_found_right(job, tmp_path):
    old = tmp_path / "run" / "versions.json"
    old.parent.mkdir()
    old.write_text('{"format": "hvdtma-run"}')
    for changes, why in (
        ({"min_trainers": 5}, "min_trainers is 5"),
        ({"store": "nowhere.zarr"}, "nowhere.zarr"),
    ):
        status, said = job("--overwrite", **changes).wait()
        assert status == 2
        assert why in said
        assert old.exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"optimizer": {"lr": 1e30}}, "not finite"),
        ({"memory_gb": 1e-6}, "memory_gb"),
    ],
    ids=["later on", "as they begin"],
)
def test_what_all_trainers_fail_by_ends_the_job(job, changes, why):
    status, said = job("--restart-delay-s", 0, **changes).wait()
    assert status == 2, said
    assert why in said
    assert "was lost" not in said


def test_blocks_of_a_lost_trainer_are_dealt_to_the_others(job):
    job = job("--max-restarts", 0, on_loss="reassign")
    job.wait_for_round(2)
    job.trainers()[2].send_signal(signal.SIGKILL)
    status, said = job.wait()
    assert status == 0, said
    job.assert_complete()
    first, second = job.events("assignment")
    assert (len(first["trainers"]), len(second["trainers"])) == (3, 2)
    assert sum(hand["blocks"] for hand in second["trainers"]) == 60


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
    status, said = job.wait()
    assert status == 0, said
    job.assert_complete()
    assert not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE


def test_too_few_trainers_wait_then_save_and_end_with_a_clear_status(job):
    job = job("--max-restarts", 0, rounds=1000, min_trainers=3, rejoin_timeout_s=1)
    job.wait_for_round(3)
    job.trainers()[1].send_signal(signal.SIGKILL)
    status, said = job.wait()
    assert status == INTERRUPTED
    assert "fewer than 3 trainers are left" in said
    assert folders(job.run)
    done = job.events("round")[-1]["round"]
    again = command("train", "--resume", job.run.path, f"rounds={done + 2}", "elastic=false")
    subprocess.run(again, check=True, env=os.environ, cwd=Path.cwd())
    job.assert_complete(done + 2)


def test_too_few_trainers_at_the_start_end_with_a_status_that_asks_to_be_run_again(job):
    """One of three ends at once, and does not come again; the others wait for it in vain."""
    job = job("--max-restarts", 0, min_trainers=3, rejoin_timeout_s=1)
    job.wait_for(lambda: len(job.trainers()) == TRAINERS)
    job.trainers()[1].kill()
    status, said = job.wait()
    assert status == INTERRUPTED
    assert "fewer than 3 trainers are left, or came in time; nothing was trained" in said


def test_sigterm_to_the_driver_saves_all_and_it_goes_on(job):
    first = job(rounds=1000)
    first.wait_for_round(2)
    first.driver.send_signal(signal.SIGTERM)
    status, said = first.wait()
    assert status == INTERRUPTED, said
    done = len(first.events("round"))
    second = job("--or-resume", rounds=done + 2)
    status, said = second.wait()
    assert status == 0, said
    second.assert_complete(done + 2)
