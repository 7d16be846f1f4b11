"""Keeps the run's record and its watchdog while a trainer trains.

Rank 0 keeps the record. If it is lost, the trainer that becomes rank 0 takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import torch

from hvdtma.aggregate import Aggregation, TimedAveraging
from hvdtma.comm.roll_call import RollCall
from hvdtma.core.errors import UserError
from hvdtma.runs.live import open_view
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.callback import Callback
from hvdtma.training.checkpoint import write_checkpoint
from hvdtma.training.membership import MembershipChange
from hvdtma.training.recorder import Recorder
from hvdtma.training.trainer import Trainer
from hvdtma.training.watchdog import Watchdog

TAKE_OVER_S = 1.0  # wait for the lock of a lost rank 0


class RunMonitor(Callback):
    """The run's own callback: a watchdog on every trainer, and a recorder on rank 0.

    A context manager; entering it is collective.

    Args:
        report: called on rank 0 with the run's folder, to write the report.
    """

    def __init__(
        self,
        trainer: Trainer,
        averaging: TimedAveraging,
        run: RunFolder,
        report: Callable[[Path], object],
    ):
        self.trainer, self.averaging, self.run, self._report = trainer, averaging, run, report
        self.recorder: Recorder | None = None
        config = trainer.config
        self._watchdog = Watchdog(config.hang_limit_s if config.elastic else None)
        self._stack = ExitStack()

    def __enter__(self) -> RunMonitor:
        self.roll_call = self._stack.enter_context(RollCall(self.averaging.comm))
        self._stack.enter_context(self._watchdog)
        self.take_over()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._stack.close()
        finally:
            self.run.unlock()

    def take_over(self) -> None:
        """Start to keep the record, if this trainer has become rank 0.

        Records the last round if the previous rank 0 was lost before it could.
        """
        if self.averaging.comm.rank != 0:
            return
        with suppress(UserError):  # a lost machine's lock may remain: try again at the next change
            self.run.lock(TAKE_OVER_S)
        if self.recorder is None:
            view = self._stack.enter_context(open_view())
            recorder = Recorder(self.trainer, self.averaging.comm.size, self.run, view)
            self.recorder = self._stack.enter_context(recorder)
        last = self.averaging.last
        recorded = [e["round"] for e in self.run.events() if e["kind"] == "round"]
        if last and last.round not in recorded:
            local_P = self.averaging.flat.read()  # this trainer may be in the next round already
            self.averaging.flat.write(self.averaging.theta_P)
            self.recorder.on_round(last, self._mean())
            self.averaging.flat.write(local_P)

    def _mean(self) -> dict[str, torch.Tensor] | None:
        """The exponential mean of the aggregated parameters, by name."""
        averaging = self.averaging
        return None if averaging.mean_P is None else averaging.flat.named(averaging.mean_P)

    def event(self, event: dict) -> None:
        """Record an event, on rank 0."""
        if self.recorder:
            self.recorder.event(event)

    def report(self) -> None:
        """Write the run's report, on rank 0."""
        if self.recorder:
            self._report(self.run.path)

    def record_membership_change(self, change: MembershipChange) -> None:
        """Record that trainers were lost or joined."""
        self.take_over()
        self.event({"kind": "members", "time_s": self.averaging.elapsed_s, **asdict(change)})

    def on_assignment(self, averaging: TimedAveraging, number: int, trainers: list[dict]) -> None:
        if self.recorder:
            self.recorder.on_assignment(averaging, number, trainers)

    def on_step(self, averaging: TimedAveraging) -> None:
        self._watchdog.beat()
        if self.recorder:
            self.recorder.on_step(averaging)

    def on_pause(self) -> None:
        self._watchdog.pause()

    def on_round(self, outcome: Aggregation) -> bool:
        """Record an aggregation, and write a checkpoint if one is due. Collective."""
        stop = bool(self.recorder and self.recorder.on_round(outcome, self._mean()))
        every = self.trainer.config.checkpoint.every
        if every and outcome.round % every == 0:
            write_checkpoint(self.run, self.trainer, self.averaging)
        return stop
