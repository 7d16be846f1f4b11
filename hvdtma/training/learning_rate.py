"""The learning rate during a run: warm-up, then constant, linear or cosine decay."""

from __future__ import annotations

import math

import torch

from hvdtma.aggregate import TimedAveraging
from hvdtma.core.train_config import TrainConfig


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainConfig, averaging: TimedAveraging
) -> None:
    """Set the learning rate of the next step: `optimizer.lr` times the schedule's factor."""
    schedule = config.optimizer.schedule
    if schedule.is_constant:
        return
    if schedule.unit == "steps":
        # A mean over trainers: newcomers and other numbers of trainers go on where others are.
        done: float = averaging.mean_steps + averaging.round.steps
    elif schedule.unit == "rounds":
        done = averaging.rounds_done
    else:
        done = averaging.comm.clock() - averaging.began
    apply_schedule(optimizer, config, done)


def apply_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, done: float) -> None:
    """Set the learning rate after `done` steps, rounds or seconds, as the schedule's unit says."""
    schedule = config.optimizer.schedule
    factor = learning_rate_factor(
        done,
        schedule.name,
        schedule.warmup,
        config.schedule_length,
        schedule.end,
        first=0.0 if schedule.unit == "seconds" else 1.0,
    )
    for group in optimizer.param_groups:
        group["lr"] = config.optimizer.lr * factor


def learning_rate_factor(
    done: float,
    name: str,
    warmup: float,
    length: float,
    end: float = 0.0,
    *,
    first: float = 1.0,
) -> float:
    """The factor of the learning rate.

    It rises in proportion to `done` + `first` until `warmup`, and then falls from 1 to `end` at
    `length`: with `linear` on a line, with `cosine` on half a cosine (Loshchilov and Hutter, ICLR
    2017, without restarts). With `constant` it stays 1.

    Args:
        done, warmup, length: in one unit.
        first: 1 for steps and rounds, of which the first one is to have a share of the rate.
    """
    if done < warmup:
        return (done + first) / (warmup + first)
    if name == "constant":
        return 1.0
    share = min((done - warmup) / max(length - warmup, 1e-9), 1.0)
    left = 1 - share if name == "linear" else (1 + math.cos(math.pi * share)) / 2
    return end + (1 - end) * left
