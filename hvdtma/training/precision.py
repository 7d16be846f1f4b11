"""The precision of matrix products on a CPU, for the time of training."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hvdtma.core.train_config import TrainConfig

_lock = threading.Lock()  # in-process trainers share PyTorch's setting
_users = 0
_before = ""


@contextmanager
def training_precision(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Round the factors of matrix products to bfloat16 inside the block, if the config says so.

    PyTorch's setting belongs to the process. The caller's own is back after the block, so that
    scores and the caller's other work are not rounded.
    """
    global _users, _before
    if config.precision != "bfloat16" or device.type != "cpu":
        yield
        return
    with _lock:
        if not _users:
            _before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("medium")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                torch.set_float32_matmul_precision(_before)
