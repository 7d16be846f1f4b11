"""SIGUSR2 and SIGTERM: save, end, and go on another time (time limits, preemption)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


@contextmanager
def unheard(*numbers: signal.Signals) -> Iterator[None]:
    """Processes started within never hear these signals, which Slurm may send to all of a task's.

    This process hears them all the same, at the latest a moment later.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Interrupt:
    """Hears the signals while the block runs; those who train are told at once.

    Signals reach the main thread only; elsewhere (trainers in one process) this hears nothing of
    its own, and who made it tells the others.
    """

    def __init__(self) -> None:
        self.asked = False
        self._told: list[Callable[[], object]] = []
        self._raised: Exception | None = None
        self._before: dict[int, object] = {}

    def tell(self, whom: Callable[[], object]) -> None:
        """Call `whom` when a signal comes, or now if one came already."""
        self._told.append(whom)
        if self.asked:
            whom()

    @contextmanager
    def at_once(self, error: Exception) -> Iterator[None]:
        """Raise `error` in the main thread when a signal comes within, or if one came already.

        For what takes long and has nothing to save; others that are told are told first. Does
        nothing in another thread (trainers in one process).
        """
        if not self._before or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._raised = error
        try:
            if self.asked:
                raise error
            yield
        finally:
            self._raised = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            if self.asked and handler is signal.SIG_DFL:
                handler = signal.SIG_IGN  # who is told twice still ends with a status of its own
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        for whom in self._told:
            whom()
        if self._raised is not None:
            error, self._raised = self._raised, None  # once: another may come while it is handled
            raise error
