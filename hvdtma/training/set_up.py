"""Makes a trainer and its averaging from a config."""

from __future__ import annotations

import os
import platform

import torch
from rich.markup import escape

from hvdtma.aggregate import TimedAveraging
from hvdtma.aggregate.aggregator import Aggregator
from hvdtma.aggregate.optimizers import make_optimizer
from hvdtma.comm.communicator import Communicator
from hvdtma.core.compute_threads import set_compute_threads
from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.core.memory import keep_freed_memory
from hvdtma.core.options import call_with_options
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.score import Scorer, check_held_out
from hvdtma.evaluation.scratch import check_scoring_scratch
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.runs.loggers import make_loggers
from hvdtma.tasks import Task, make_model, make_task
from hvdtma.tasks.links import LinkTask, Remark
from hvdtma.training.budget import check_memory
from hvdtma.training.free_memory import check_trainer_memory
from hvdtma.training.freeze import freeze, frozen_parameters
from hvdtma.training.trainer import Trainer, trainer_weight


def set_up(config: TrainConfig, comm: Communicator, sharers: int | None = None) -> Trainer:
    """Make a trainer without an assignment, after all checks of config, store, memory and device.

    Args:
        sharers: result of `count_sharers`; None: all trainers of the machine share its cores.

    Raises UserError if a check fails.
    """
    device = set_up_device(config, comm, sharers)
    store = open_checked(config, comm.size)
    check_trainer_memory(config, store, comm)
    if comm.rank == 0:  # a problem with scoring is reported before training, not after it
        check_scoring_scratch(config, store)
        make_loggers(config)
        print_remarks(Scorer(config, store).task)
    return new_trainer(config, store, comm, device)


def open_checked(config: TrainConfig, trainers: int) -> GraphStore:
    """Open the config's store, after the checks that read no more than its attributes.

    Raises UserError if there is no store, if it has nothing to score on, or if `memory_gb` is too
    small for it.
    """
    store = open_store(config.store)
    check_memory(config, store, trainers)
    check_held_out(make_task(config, store), store)
    return store


def print_remarks(task: Task) -> None:
    """Print the choices that a link task made for its store, and its warnings."""
    remarks: list[Remark] = task.remarks() if isinstance(task, LinkTask) else []
    for remark in remarks:
        style = "yellow" if remark.is_warning else "dim"
        console.print(escape(remark.text), style=style, soft_wrap=True)


def count_sharers(comm: Communicator) -> int:
    """Number of trainers that may run on this trainer's cores, itself included. Collective.

    Slurm usually binds each task to its own cores. Other launchers let all trainers of a machine
    run on all its cores.
    """
    node, cores = platform.node(), os.sched_getaffinity(0)
    placements = comm.all_gather_object((node, cores))
    sharers = sum(node == other and bool(cores & others) for other, others in placements)
    return min(sharers, comm.local_size)


def set_up_device(
    config: TrainConfig, comm: Communicator, sharers: int | None = None
) -> torch.device:
    """Choose this trainer's device, and set the number of threads to its share of the cores."""
    cores = len(os.sched_getaffinity(0))
    threads = config.threads or max(1, cores // (sharers or comm.local_size))
    set_compute_threads(threads)
    kind = config.device
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but PyTorch finds no GPU; use device=cpu or auto")
    if kind == "cpu":
        if config.memory_gb is None:
            keep_freed_memory()
        return torch.device("cpu")
    device = torch.device("cuda", comm.local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)  # Horovod and NCCL use the current device
    return device


def new_trainer(
    config: TrainConfig, store: GraphStore, comm: Communicator, device: torch.device
) -> Trainer:
    """Make a trainer without an assignment."""
    task = make_task(config, store)
    model = make_model(config, store, task).to(device)
    freeze(model, config.freeze)
    optimizer = make_optimizer(config.optimizer, model)
    torch.manual_seed(config.seed * 1_000_003 + comm.rank)  # dropout differs between trainers
    return Trainer(config, store, task, model, optimizer, comm.rank, comm.size, device)


def make_trainer(
    config: TrainConfig, store: GraphStore, comm: Communicator, device: torch.device
) -> Trainer:
    """Make a trainer with its first assignment."""
    trainer = new_trainer(config, store, comm, device)
    trainer.take_assignment(0)
    return trainer


def make_aggregator(config: TrainConfig) -> Aggregator:
    """The config's aggregator."""
    aggregate = config.aggregate
    outer = aggregate.model_dump(include={"outer", "outer_lr", "outer_momentum"})
    return call_with_options("aggregator", aggregate.name, aggregate.options, defaults=outer)


def make_averaging(trainer: Trainer, comm: Communicator) -> TimedAveraging:
    """Make the averaging of the trainer's config."""
    config = trainer.config
    return TimedAveraging(
        trainer.model,
        trainer.optimizer,
        interval_s=config.interval_s,
        interval_steps=config.interval_steps,
        rounds=config.rounds,
        time_limit_s=config.time_limit_s,
        weight=trainer_weight(trainer),
        optimizer_state=config.aggregate.optimizer_state,
        aggregator=make_aggregator(config),
        frozen=frozen_parameters(trainer.model, config.freeze),
        mean_decay=config.evaluate.mean_decay,
        comm=comm,
    )
