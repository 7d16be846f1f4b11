"""A trace of some steps by the PyTorch profiler, on the first trainer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.markup import escape
from torch.profiler import ProfilerActivity, profile

from hvdtma.aggregate import TimedAveraging
from hvdtma.core.console import console
from hvdtma.core.files import replacing
from hvdtma.training.callback import Callback

SKIPPED_STEPS = 5  # the first ones compile code and fill caches


class StepProfiler(Callback):
    """Records `steps` steps and all that happens between them, and writes a Chrome trace.

    Open the file in chrome://tracing or https://ui.perfetto.dev. If a run ends before, the steps
    until then are written.
    """

    def __init__(self, steps: int, path: Path):
        self.steps, self.path = steps, path
        self.seen = 0
        self._profile: profile | None = None

    def on_step(self, averaging: TimedAveraging) -> None:
        self.seen += 1
        if self.seen == SKIPPED_STEPS:
            self._start()
        elif self.seen == SKIPPED_STEPS + self.steps:
            self.close()

    def _start(self) -> None:
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(activities=activities)
        self._profile.start()

    def close(self) -> None:
        """Write the trace, if recording has begun and the trace is not written yet."""
        if self._profile is None:
            return
        recorded, self._profile = self._profile, None
        recorded.stop()
        with replacing(self.path) as temporary:
            recorded.export_chrome_trace(str(temporary))
        steps = min(self.seen - SKIPPED_STEPS, self.steps)
        console.print(f"trace of {steps} steps: {escape(str(self.path))}", soft_wrap=True)


@contextmanager
def profiling(steps: int, path: Path) -> Iterator[list[Callback]]:
    """A list with the profiler as a callback; empty for 0 steps."""
    if not steps:
        yield []
        return
    profiler = StepProfiler(steps, path)
    try:
        yield [profiler]
    finally:
        profiler.close()
