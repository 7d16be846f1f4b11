"""Nodes, tasks and GPUs of a job, and how many trainers a run may have."""

from __future__ import annotations

from dataclasses import dataclass

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.store import open_store
from hvdtma.partitioning.assignment import assignment_units, check_trainers


@dataclass(frozen=True)
class Resources:
    """The nodes, tasks and GPUs of a job. Raises UserError for a number below its minimum."""

    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int = 0

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("tasks_per_node", 1), ("gpus_per_node", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least {least}")

    @property
    def tasks(self) -> int:
        return self.nodes * self.tasks_per_node

    def __str__(self) -> str:
        tasks = f"{self.tasks} task{'s' * (self.tasks > 1)}"
        nodes = f"{self.nodes} node{'s' * (self.nodes > 1)}"
        gpus = f" with {self.gpus_per_node} GPUs each" * bool(self.gpus_per_node)
        return f"{tasks} on {nodes}{gpus}"


def check_trainer_count(config: TrainConfig, trainers: int) -> None:
    """Check that a run can have this number of trainers.

    Raises UserError for fewer than the config needs, or more than the store has blocks.
    """
    store = open_store(config.store)
    if config.elastic and config.min_trainers > trainers:
        raise UserError(
            f"min_trainers is {config.min_trainers}, but only {trainers} would start: each task "
            "is one trainer"
        )
    whole_parts = store.part_offsets is not None
    check_trainers(trainers, len(assignment_units(store)), whole_parts=whole_parts)
