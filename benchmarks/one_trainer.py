"""One trainer on a whole store, outside a run: it takes one step after another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from hvdtma.comm import SingleProcess
from hvdtma.core.train_config import load_train_config
from hvdtma.graph.store import GraphStore
from hvdtma.training.set_up import make_trainer, set_up_device
from hvdtma.training.trainer import Trainer

WARM_UP = 5
RUN = 4  # steps of a trainer in a row: what it reads is in the caches then, as in training


def trainer_on(store: GraphStore, settings: list[str]) -> Trainer:
    """A trainer with the defaults, or with what `key=value` settings change."""
    given = [f"store={store.path}", "run=unused", "rounds=1", *settings]
    config = load_train_config(None, given)
    comm = SingleProcess()
    return make_trainer(config, store, comm, set_up_device(config, comm))


def next_step(trainer: Trainer) -> int:
    """Take a step, on the next resident set if no batch is left; return its links or nodes."""
    while trainer.batches is not None:
        step = trainer.take_step()
        if step is not None:
            return step[1]
        trainer.take_set()
    raise SystemExit(f"{trainer.store.path} has nothing to train on")


def step_rate(trainer: Trainer, steps: int) -> float:
    """Links or nodes per second of a trainer, after a warm-up."""
    for _ in range(WARM_UP):
        next_step(trainer)
    start = time.perf_counter()
    return sum(next_step(trainer) for _ in range(steps)) / (time.perf_counter() - start)


def milliseconds_in_turn(
    takers: Mapping[str, Callable[[], object]], steps: int
) -> dict[str, float]:
    """The median milliseconds of a step of each; all take `RUN` steps in turn, from a warm-up on.

    Other load on the machine then slows all of them.
    """
    taken: dict[str, list[float]] = {name: [] for name in takers}
    for first in range(-RUN, steps, RUN):
        for name, take in takers.items():
            for _ in range(RUN):
                start = time.perf_counter()
                take()
                if first >= 0:
                    taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in taken.items()}
