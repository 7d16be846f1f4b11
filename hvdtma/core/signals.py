"""Signals that ask a process to save and end: SIGUSR2 (a time limit) and SIGTERM (preemption)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hvdtma.core.errors import Interrupted

SHUTDOWN_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


@contextmanager
def blocked_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Block signals inside the block. Processes started there inherit the block for good.

    Slurm may send a signal to every process of a task; helper processes must not end by it. This
    process receives the signals when the block ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ShutdownSignal:
    """Handles the shutdown signals inside a `with` block.

    Python runs signal handlers in the main thread only. In any other thread (trainers in one
    process) no handler is installed. The handlers from before are put back at the end.

    Args:
        process_ends: whether the process ends after the block. If a signal came, here or at
            another trainer, further ones are then ignored where they would kill the process: its
            exit status stays.

    Attributes:
        received: whether a signal has come.
    """

    def __init__(self, *, process_ends: bool = False) -> None:
        self.received = False
        self._process_ends = process_ends
        self._callbacks: list[Callable[[], object]] = []
        self._error: Exception | None = None
        self._handlers_before: dict[int, object] = {}

    def on_signal(self, callback: Callable[[], object]) -> None:
        """Call `callback` when a signal comes; at once if one has come already."""
        self._callbacks.append(callback)
        if self.received:
            callback()

    @contextmanager
    def raise_on_signal(self, error: Exception) -> Iterator[None]:
        """Raise `error` in the main thread if a signal comes inside the block, or came before it.

        For long work that has nothing to save. Callbacks run first. Without handlers, or in
        another thread than the main one, this does nothing.
        """
        if not self._handlers_before or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._error = error
        try:
            if self.received:
                raise error
            yield
        finally:
            self._error = None

    def __enter__(self) -> ShutdownSignal:
        if threading.current_thread() is threading.main_thread():
            self._handlers_before = {
                number: signal.signal(number, self._handle) for number in SHUTDOWN_SIGNALS
            }
        return self

    def __exit__(self, *error: object) -> None:
        interrupted = self.received or any(isinstance(each, Interrupted) for each in error)
        for number, handler in self._handlers_before.items():
            if interrupted and self._process_ends and handler is signal.SIG_DFL:
                handler = signal.SIG_IGN
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        for callback in self._callbacks:
            callback()
        if self._error is not None:
            # Once: a second signal may come while the error is handled.
            error, self._error = self._error, None
            raise error
