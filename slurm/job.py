"""The code that submitit pickles and runs in every task of a job, and how a job is requeued.

On SIGUSR2 or SIGTERM the trainers save together and raise Interrupted. Only then is submitit's own
handler of SIGUSR2 called. It pickles the result of `checkpoint`, and requeues the job under its
own id. So nothing is saved inside a signal handler.
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
from hvdtma.core.launcher import launched_as, status_of_others
from hvdtma.core.signals import SHUTDOWN_SIGNALS, ShutdownSignal, blocked_signals

TOLERANCE_S = 2.0
STARTUP_S = 60.0  # a command may need so long to install its signal handlers
RUNNING = "RUNNING"


@dataclass(frozen=True)
class Job:
    """Calls `work` in a task. Implements submitit's protocol of jobs that can be requeued.

    Attributes:
        signal_after_s: age of a task at which submitit's local executor signals it and then
            starts it again. A task that is signalled earlier ends: a user did that. None under
            Slurm.
    """

    work: Callable[[], Any]
    signal_after_s: float | None = None

    def __call__(self) -> Any:
        rank, _ = launched_as()
        try:
            return self.work()
        except Interrupted as interrupted:
            if rank == 0:
                console.print(str(interrupted), markup=False, soft_wrap=True)
            age_s = time.time() - psutil.Process().create_time()
            if self.signal_after_s is not None and age_s < self.signal_after_s - TOLERANCE_S:
                raise SystemExit(INTERRUPTED) from None
            requeue()
        except UserError as error:
            if rank == 0 or isinstance(error, TrainerError):
                fail(str(error))
            raise SystemExit(status_of_others(2)) from None  # rank 0 prints the message for all

    def checkpoint(self) -> DelayedSubmission:
        """The work of the requeued job: the same, which resumes from the saved run."""
        return DelayedSubmission(self)


def requeue() -> NoReturn:
    """End this task. Task 0 lets submitit requeue the job.

    Not if Slurm is ending the job already: a user cancelled it, or it is preempted with
    `PreemptMode=REQUEUE` and Slurm requeues it.
    """
    submitit_handler = signal.getsignal(signal.SIGUSR2)
    if launched_as()[0] != 0:
        raise SystemExit(0)  # another status could make Slurm kill task 0 first
    with blocked_signals(*SHUTDOWN_SIGNALS):  # a second signal would interrupt scontrol
        if callable(submitit_handler) and own_job_state() in (None, RUNNING):
            submitit_handler(signal.SIGUSR2, None)
    raise SystemExit(INTERRUPTED)


def own_job_state() -> str | None:
    """Slurm's state of this job; None outside of Slurm, or if Slurm does not answer."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return None
    try:
        words = slurm("scontrol", "--oneliner", "show", "job", os.environ["SLURM_JOB_ID"]).split()
    except UserError as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return None
    return next((word[9:] for word in words if word.startswith("JobState=")), None)


# Both functions import after the signal handlers are installed: the imports take seconds, and a
# task that SIGUSR2 finds without a handler would die of it.


def train(config: Path) -> None:
    """Train as one task of the step; resume the run if it exists."""
    with ShutdownSignal(process_ends=True) as shutdown:
        from hvdtma.training.launch import train_here

        train_here(config, or_resume=True, shutdown=shutdown)


def drive(config: Path, nodes: int, tasks_per_node: int) -> None:
    """Start elastic trainers on the job's nodes; with the local executor, on this machine."""
    local = nodes * tasks_per_node if os.environ["SUBMITIT_EXECUTOR"] == "local" else None
    with ShutdownSignal(process_ends=True) as shutdown:
        from slurm import driver

        status = driver.drive(
            config,
            local=local,
            tasks_per_node=f"{tasks_per_node}(x{nodes})",
            or_resume=True,
            shutdown=shutdown,
        )
    if status == INTERRUPTED:
        raise Interrupted("interrupted and saved")
    if status:
        raise SystemExit(status)


def run_command(command: Sequence[str]) -> None:
    """Run a command in this task, and forward SIGUSR2 and SIGTERM to it as SIGUSR2.

    Raises Interrupted, and so requeues the job, if the command ends with status INTERRUPTED, or if
    SIGUSR2 kills it in its first minute: it may not have installed a handler yet. Later it has
    none, and would start anew at every time limit. Raises SystemExit for any other status than 0.
    """
    signalled_at: list[float] = []

    def forward() -> None:
        signalled_at.append(time.monotonic())
        process.send_signal(signal.SIGUSR2)

    with ShutdownSignal(process_ends=True) as shutdown:
        process, started_at = subprocess.Popen(command), time.monotonic()
        shutdown.on_signal(forward)
        status = process.wait()
    starting = bool(signalled_at) and signalled_at[0] - started_at < STARTUP_S
    if status == INTERRUPTED or (starting and status == -signal.SIGUSR2):
        raise Interrupted(f"{command[0]} was interrupted")
    if status:
        raise SystemExit(status if status > 0 else 128 - status)
