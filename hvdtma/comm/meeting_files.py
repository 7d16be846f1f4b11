"""The files by which the tasks of one srun meet, in a folder that all of them see.

.hvdtma-KEY.json      the address of rank 0's port, with the secret; removed when all have met
.hvdtma-KEY.failed    why a task failed before all had met: the others would wait for it

Only their owner can read them. KEY is unique to this attempt at this step.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hvdtma.comm.slurm_task import LOCALHOST, SlurmTask
from hvdtma.core.errors import Interrupted, TrainerError, UserError, explain

FILE_POLL_S = 0.1
LOOK_S = 0.5  # between two looks for the failure of another task
REASON_TIMEOUT_S = 3.0
OLD_S = 3600.0  # then a note of a failure has been read


@dataclass(frozen=True)
class RendezvousInfo:
    """The address and the secret of rank 0's port, and the transport that it serves."""

    address: str
    port: int
    secret: str
    transport: str = "horovod"


class FailureNotes:
    """Tells the other tasks why one of them failed before all had met.

    srun leaves the others running unless it is told to kill them. submitit's local executor ends
    them itself, so its tasks write nothing.
    """

    def __init__(self, folder: Path, task: SlurmTask):
        self.path, self.task = folder / f".hvdtma-{task.key}.failed", task
        self._looked_at = 0.0

    def write(self, error: BaseException) -> None:
        """Leave the reason for the others, as far as the folder can be written to.

        The first reason stays: it is the cause of those that follow.
        """
        if self.task.node == LOCALHOST or _is_listed(self.path):
            return
        note = {"rank": self.task.rank, "node": self.task.node, "reason": _reason(error)}
        with suppress(OSError):
            _write_private(self.path, {**note, "interrupted": isinstance(error, Interrupted)})

    def check(self) -> None:
        """Raise the reason if another task has failed; looks every `LOOK_S`.

        Raises UserError, or Interrupted if the other task was interrupted.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        if not _is_listed(self.path):
            return
        note = _read_private(self.path)
        where = f"trainer {note['rank']} on {note['node']}"
        if note["interrupted"]:
            raise Interrupted(f"{where}: {note['reason']}")
        raise UserError(f"{where} failed before all trainers had met: {note['reason']}")

    def wait(self) -> None:
        """Raise the reason as `check` does; it may come shortly after the task's port is closed."""
        deadline = time.monotonic() + REASON_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check()
            time.sleep(FILE_POLL_S)

    def remove_old(self) -> None:
        """Remove the notes of earlier jobs."""
        for path in self.path.parent.glob(".hvdtma-*.failed"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > OLD_S:
                    path.unlink()


def _reason(error: BaseException) -> str:
    if isinstance(error, UserError | OSError):
        return explain(error)
    return str(error) if isinstance(error, Interrupted) else f"{type(error).__name__}: {error}"


@contextmanager
def published(info: RendezvousInfo, path: Path) -> Iterator[None]:
    """Keep a file of mode 0600 with the rendezvous while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        _write_private(path, vars(info))
        yield
    finally:
        path.unlink(missing_ok=True)


def wait_for(
    path: Path, timeout_s: float, check: Callable[[], None] = lambda: None
) -> RendezvousInfo:
    """Wait for rank 0's file and read it.

    Args:
        check: called while it is not there; raises an error to end the waiting.

    Raises TrainerError if it does not appear in time, or other users could have written it.
    """
    deadline = time.monotonic() + timeout_s
    while not _is_listed(path):
        check()
        if time.monotonic() > deadline:
            raise TrainerError(
                f"{path} did not appear on {os.uname().nodename} within {timeout_s:.0f} s: rank 0 "
                "has not started, or has failed (then its message is above), or its folder is not "
                "shared between the nodes; put run= into a folder that all of them see"
            )
        time.sleep(FILE_POLL_S)
    return RendezvousInfo(**_read_private(path))


def _write_private(path: Path, values: dict) -> None:
    """Write a file of mode 0600 that is complete as soon as it is there."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(values, file)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_private(path: Path) -> dict:
    """Read a file of `_write_private`; raises TrainerError if others could have written it."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise TrainerError(
                    f"{path} is not trusted: other users can read it, or own it; remove it"
                )
            values: dict = json.load(file)
            return values
    except OSError as error:  # a symbolic link; or rank 0 has ended and removed the file
        raise TrainerError(f"{path} cannot be read: {error.strerror}") from error


def _is_listed(path: Path) -> bool:
    """Whether a file exists. A network file system looks again when its folder is listed."""
    try:
        return path.name in os.listdir(path.parent)  # noqa: PTH208
    except OSError:  # the folder is not there, or not yet
        return False
