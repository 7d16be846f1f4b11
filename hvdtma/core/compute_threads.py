"""The number of threads that this process computes with, in PyTorch, Numba and sampling."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import torch

from hvdtma.core.threads import num_workers

_of_process: int | None = None
_of_thread = threading.local()


def set_compute_threads(threads: int) -> None:
    """Set the number of threads of this process."""
    global _of_process
    _of_process = threads
    config: Any = numba.config
    numba.set_num_threads(min(threads, config.NUMBA_NUM_THREADS))
    torch.set_num_threads(threads)  # after Numba, which resets OpenMP's threads


def compute_threads() -> int:
    """The number of threads that the caller may use: all cores of the process if none was set."""
    return getattr(_of_thread, "threads", None) or _of_process or num_workers()


def use_one_thread() -> None:
    """Set `compute_threads` to 1 for the calling thread, which is one of several that compute."""
    _of_thread.threads = 1


@contextmanager
def restored_threads() -> Iterator[None]:
    """Restore the numbers of threads afterwards."""
    global _of_process
    before = _of_process, torch.get_num_threads(), numba.get_num_threads()
    try:
        yield
    finally:
        _of_process, of_torch, of_numba = before
        numba.set_num_threads(of_numba)
        torch.set_num_threads(of_torch)
