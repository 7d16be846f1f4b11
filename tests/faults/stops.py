"""Elastic trainers on this machine, of which one hangs or is killed, or their driver or evaluator.

These are processes of their own, each with its start-up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import psutil

from faults import rules
from faults.kinds import Kind
from faults.lab import Lab

TRAINERS, ROUNDS_DRIVEN = 3, 12
LIMIT_S, POLL_S = 600.0, 0.05
OPTIONS = (
    *("interval_steps=null", "interval_s=0.5", f"rounds={ROUNDS_DRIVEN}", "elastic=true"),
    *("hang_limit_s=5", "evaluate.mode=follow", "checkpoint.every=2"),
)


@dataclass(frozen=True)
class Stop:
    """A signal to a process after so many rounds."""

    after_rounds: int
    number: int


class Job:
    """`hvdtma drive --local`, in the folder of a case."""

    def __init__(self, lab: Lab, folder: Path, *options: str):
        words = ["drive", str(lab.config), *OPTIONS, "--local", str(TRAINERS), *options]
        self.run, self.errors = folder / "run", folder / "errors"
        with self.errors.open("w") as errors:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "hvdtma", *words],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self.ends = time.monotonic() + LIMIT_S

    def rounds(self) -> list[int]:
        if not (self.run / "metrics.jsonl").exists():
            return []
        return [event["round"] for event in rules.events(self.run) if event["kind"] == "round"]

    def wait_for(self, found: Callable[[], bool]) -> bool:
        """Wait until something is so; false if the job or the time has ended before."""
        while time.monotonic() < self.ends and self.driver.poll() is None:
            if found():
                return True
            time.sleep(POLL_S)
        return False

    def processes(self, word: str) -> list[psutil.Process]:
        """Its processes with a word in their command line, oldest first."""
        found = []
        for process in psutil.Process(self.driver.pid).children(recursive=True):
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=psutil.Process.create_time)

    def trainers(self) -> list[psutil.Process]:
        """The trainers, in order of their first ranks."""
        named = [
            (process.environ().get("HVDTMA_NAME"), process) for process in self.processes("hvdtma")
        ]
        return [process for name, process in sorted(named, key=lambda pair: str(pair[0])) if name]

    def status(self) -> int | None:
        """The exit status of the driver; None if it does not end in time."""
        try:
            return self.driver.wait(max(self.ends - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """End all that is left of it."""
        for process in (
            [*self.processes(""), psutil.Process(self.driver.pid)]
            if (self.driver.poll() is None)
            else []
        ):
            process.kill()
        self.driver.wait()

    def complete(self) -> str:
        """Whether it has ended well, with all rounds and their scores."""
        status = self.status()
        said = self.errors.read_text()
        if status is None:
            return "did not end"
        if status:
            return f"status {status}: {said[-400:]}"
        if self.rounds() != list(range(1, ROUNDS_DRIVEN + 1)):
            return f"recorded the rounds {self.rounds()}"
        done = (self.run / "summary.json").exists() and (self.run / "best.safetensors").exists()
        return "" if done else "has no summary"


def draw(numbers: tuple[int, ...], random: Random, number: int) -> list[Stop]:
    return [
        Stop(random.randint(0, ROUNDS_DRIVEN - 4), random.choice(numbers)) for _ in range(number)
    ]


def survives_of_trainer(first: bool, lab: Lab, folder: Path, stop: Stop) -> str:
    """The others go on, and a new trainer joins them."""
    job = Job(lab, folder, "--restart-delay-s", "0")
    try:
        job.wait_for(lambda: len(job.rounds()) >= stop.after_rounds and len(job.trainers()) > 1)
        trainers = job.trainers()
        if trainers:
            trainers[0 if first else -1].send_signal(stop.number)
        return job.complete()
    finally:
        job.end()


def survives_of_evaluator(lab: Lab, folder: Path, stop: Stop) -> str:
    """Trainers do not wait for the evaluator, and the run is scored in the end."""
    job = Job(lab, folder)
    try:
        job.wait_for(lambda: bool(job.processes("training.evaluator")))
        job.wait_for(lambda: len(job.rounds()) >= stop.after_rounds)
        evaluators = job.processes("training.evaluator")
        if evaluators:
            evaluators[0].send_signal(stop.number)
        return job.complete()
    finally:
        job.end()


def survives_of_driver(lab: Lab, folder: Path, stop: Stop) -> str:
    """Its trainers end, and the next command goes on with the run."""
    job = Job(lab, folder)
    try:
        job.wait_for(lambda: len(job.rounds()) >= stop.after_rounds)
        trainers = job.trainers()
        job.driver.send_signal(stop.number)
        _, left = psutil.wait_procs(trainers, timeout=120)
        for process in left:
            process.kill()
        if left:
            return f"{len(left)} trainers go on without their driver"
    finally:
        job.end()
    again = Job(lab, folder, "--or-resume")
    try:
        return again.complete()
    finally:
        again.end()


def kinds() -> list[Kind]:
    stop, kill = int(signal.SIGSTOP), int(signal.SIGKILL)
    either = partial(draw, (stop, kill))
    return [
        Kind("SIGSTOP or SIGKILL of rank 0", 0, 10, either, partial(survives_of_trainer, True)),
        Kind(
            "SIGSTOP or SIGKILL of the last rank",
            0,
            10,
            either,
            partial(survives_of_trainer, False),
        ),
        Kind("SIGKILL of the evaluator", 0, 5, partial(draw, (kill,)), survives_of_evaluator),
        Kind("SIGSTOP of the evaluator", 0, 5, partial(draw, (stop,)), survives_of_evaluator),
        Kind("SIGKILL of the driver", 0, 5, partial(draw, (kill,)), survives_of_driver),
    ]
