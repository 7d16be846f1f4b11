"""JobTarget submitit pickles, and runs in every task: work that can be cut short and goes on later.

Trainers that are told to end (SIGUSR2, SIGTERM) save together and raise Interrupted. Only then is
submitit's own handler of SIGUSR2 called: it pickles what `checkpoint` returns, and puts the job
back into the queue under its own id. So nothing is saved within a signal handler.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
from submitit.core.utils import DelayedSubmission

from hvdtma.comm.slurm_task import slurm
from hvdtma.core.command_line import fail
from hvdtma.core.console import console
from hvdtma.core.errors import INTERRUPTED, Interrupted, TrainerError, UserError
from hvdtma.core.launcher import launched_as
from hvdtma.core.signals import SIGNALS, Interrupt, unheard

SLACK_S = 2.0
DEAF_S = 60.0  # while a command starts it may not hear yet; later, it never will
RUNNING = "RUNNING"


@dataclass(frozen=True)
class Job:
    """Calls `work` in a task; submitit's protocol of jobs that can be requeued.

    Attributes:
        told_after_s: when submitit's local executor tells its tasks to end, which it then starts
            again; told earlier, they were told by somebody else, and end. None under Slurm.
    """

    work: Callable[[], Any]
    told_after_s: float | None = None

    def __call__(self) -> Any:
        rank, _ = launched_as()
        try:
            return self.work()
        except Interrupted as interrupted:
            if rank == 0:
                console.print(str(interrupted), markup=False, soft_wrap=True)
            age_s = time.time() - psutil.Process().create_time()
            if self.told_after_s is not None and age_s < self.told_after_s - SLACK_S:
                raise SystemExit(INTERRUPTED) from None
            go_on_later()
        except UserError as error:
            if rank == 0 or isinstance(error, TrainerError):
                fail(str(error))
            raise SystemExit(2) from None  # the others would only say it again

    def checkpoint(self) -> DelayedSubmission:
        """JobTarget runs when the job starts again: the same, which then finds what was saved."""
        return DelayedSubmission(self)


def go_on_later() -> NoReturn:
    """End this task; by way of task 0, submitit puts the job back into the queue.

    Only one that Slurm itself has not ended yet: it has if somebody cancelled the job, or another
    preempted it where the site says `PreemptMode=REQUEUE`, and then Slurm puts it there.
    """
    by_submitit = signal.getsignal(signal.SIGUSR2)
    if launched_as()[0] != 0:
        raise SystemExit(0)  # another status could have Slurm kill task 0 first
    with unheard(*SIGNALS):  # a second one would not let scontrol finish
        if callable(by_submitit) and state_of_own_job() in (None, RUNNING):
            by_submitit(signal.SIGUSR2, None)
    raise SystemExit(INTERRUPTED)


def state_of_own_job() -> str | None:
    """Slurm's word for what this job is in; None if it is no job of Slurm's, or not known now."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return None
    try:
        words = slurm("scontrol", "--oneliner", "show", "job", os.environ["SLURM_JOB_ID"]).split()
    except UserError as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return None
    return next((word[9:] for word in words if word.startswith("JobState=")), None)


def train(config: Path) -> None:
    """Train as one of the step's trainers; go on with the run if it was begun before."""
    from hvdtma.training.launch import train_here

    train_here(config, or_resume=True)


def drive(config: Path, nodes: int, tasks_per_node: int) -> None:
    """Start elastic trainers on the job's nodes, or, for the local executor, here."""
    from typer import Exit

    from hvdtma.cli.cluster import drive as drive_here

    local = nodes * tasks_per_node if os.environ["SUBMITIT_EXECUTOR"] == "local" else None
    try:
        drive_here(config, local=local, tasks_per_node=f"{tasks_per_node}(x{nodes})", resume=True)
    except Exit as ended:
        if ended.exit_code == INTERRUPTED:
            raise Interrupted("interrupted and saved") from None
        if ended.exit_code:
            raise SystemExit(ended.exit_code) from None


def run_command(words: Sequence[str]) -> None:
    """Run a command in each task.

    It is told of SIGUSR2 and SIGTERM, and may end with status INTERRUPTED to be run again, as it is
    if SIGUSR2 ended it in its first minute: it was told before it could hear. One that ends so
    later has no handler, and would only begin anew at every time limit. Raises SystemExit with any
    other status than 0.
    """
    known_at: list[float] = []

    def tell() -> None:
        known_at.append(time.monotonic())
        process.send_signal(signal.SIGUSR2)

    with Interrupt() as interrupt:
        process, started_at = subprocess.Popen(words), time.monotonic()
        interrupt.tell(tell)
        status = process.wait()
    young = bool(known_at) and known_at[0] - started_at < DEAF_S
    if status == INTERRUPTED or (young and status == -signal.SIGUSR2):
        raise Interrupted(f"{words[0]} was interrupted")
    if status:
        raise SystemExit(status if status > 0 else 128 - status)
