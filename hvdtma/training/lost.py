"""A trainer is lost and the others cannot go on: which one it was, and the command to go on."""

from __future__ import annotations

import time
from contextlib import suppress

from hvdtma.comm.communicator import TrainerLost
from hvdtma.comm.roll_call import RollCall
from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.checkpoint import folders

REPORT_TIMEOUT_S = 5.0  # for the trainer that reports the loss
POLL_S = 0.1
FAILED = "failed"


def explained(error: TrainerLost, roll_call: RollCall, run: RunFolder) -> UserError:
    """The loss of a trainer that ends training, with the trainer and the command to go on.

    The first trainer that is left prints and records it. The others wait until it has, because
    their own ends would look like losses.
    """
    lost = roll_call.lost()
    if not lost:
        return error
    message = f"{error.what}: {', '.join(map(str, lost))}. {_way_on(run)}. {error.cause}"
    if not roll_call.reports(lost) or _is_reported(run):
        _wait_for_report(run)
        return UserError(message)
    if roll_call.rank != 0:  # rank 0, which keeps the record, is lost
        with suppress(OSError):
            append_json(run.metrics, {"kind": FAILED, "why": message})
    return TrainerLost(message)


def _way_on(run: RunFolder) -> str:
    """The command that goes on."""
    if folders(run):
        return f"Go on from the newest checkpoint, with as many trainers: {run.resume_command}"
    return f"There is no checkpoint yet; begin again: {run.command} {run.config_file} --or-resume"


def _is_reported(run: RunFolder) -> bool:
    events = run.events()
    return bool(events) and events[-1]["kind"] == FAILED


def _wait_for_report(run: RunFolder) -> None:
    deadline = time.monotonic() + REPORT_TIMEOUT_S
    while time.monotonic() < deadline and not _is_reported(run):
        time.sleep(POLL_S)
