"""Where the trainers of a run are, and remarks on a placement that wastes GPUs or memory."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from hvdtma.comm.communicator import Communicator
from hvdtma.core.console import warn
from hvdtma.core.memory import machine_memory_gb

USABLE_SHARE = 0.8  # of a node's memory; the system and file caches need the rest


@dataclass(frozen=True)
class TrainerResources:
    """The node of a trainer, and what the trainer has there.

    Attributes:
        gpu: identity of the GPU that it uses; None: it uses none.
        visible_gpus: number of GPUs that it could use.
        node_gb: memory of the node, or of the job's share of it.
    """

    node: str
    gpu: str | None
    visible_gpus: int
    node_gb: float


def warn_of_placement(comm: Communicator, device: torch.device, memory_gb: float | None) -> None:
    """Print remarks on the placement of all trainers, on rank 0. Collective."""
    gpu, visible = None, 0
    if device.type == "cuda":
        visible = torch.cuda.device_count()
        gpu = str(torch.cuda.get_device_properties(device).uuid)
    node = os.environ.get("SLURMD_NODENAME", platform.node())
    placements = comm.all_gather_object((node, gpu, visible, machine_memory_gb()))
    if comm.rank == 0:
        for text in remarks([TrainerResources(*each) for each in placements], memory_gb):
            warn(text)


def remarks(placements: Sequence[TrainerResources], memory_gb: float | None) -> list[str]:
    """One line for each kind of waste, with what to do.

    Args:
        placements: of all trainers, in order of rank.
        memory_gb: the limit of each trainer.
    """
    nodes: dict[str, list[TrainerResources]] = defaultdict(list)
    for placement in placements:
        nodes[placement.node].append(placement)
    texts = [_idle_gpus(placements[0])] if len(placements) == 1 else []
    texts += [_first(_shared_gpus(node, there) for node, there in nodes.items())]
    texts += [_first(_too_much(node, there, memory_gb) for node, there in nodes.items())]
    return [text for text in texts if text]


def _first(texts: Iterable[str]) -> str:
    """The text of the first node that has one; the others are alike."""
    return next(filter(None, texts), "")


def _idle_gpus(alone: TrainerResources) -> str:
    if alone.gpu is None or alone.visible_gpus < 2:
        return ""
    number = alone.visible_gpus
    return (
        f"one trainer uses one GPU, and this machine has {number}. For a trainer on each: "
        f"horovodrun -np {number} hvdtma train ..., or srun -n{number} in a Slurm job; "
        "CUDA_VISIBLE_DEVICES=0 keeps to one"
    )


def _shared_gpus(node: str, there: list[TrainerResources]) -> str:
    gpus = {placement.gpu for placement in there if placement.gpu is not None}
    trainers = sum(placement.gpu is not None for placement in there)
    if trainers <= len(gpus):
        return ""
    return (
        f"{trainers} trainers share {len(gpus)} GPU{'s' * (len(gpus) > 1)} on {node}: they take "
        f"turns, and average through the CPU. Start {len(gpus)} on each node "
        f"(--tasks-per-node {len(gpus)}), or ask for {trainers} GPUs (--gpus-per-node {trainers})"
    )


def _too_much(node: str, there: list[TrainerResources], memory_gb: float | None) -> str:
    if memory_gb is None:
        return ""
    node_gb, trainers = min(placement.node_gb for placement in there), len(there)
    if trainers * memory_gb <= node_gb:
        return ""
    return (
        f"memory_gb is {memory_gb:g} for each of {trainers} trainers on {node}, which has "
        f"{node_gb:.1f} GiB for them: the system may end one. Give "
        f"memory_gb={USABLE_SHARE * node_gb / trainers:.2g}, or ask for more (--mem)"
    )
