"""The devices that modalities can be trained on."""

from __future__ import annotations

import torch

from hvdtma.comm.communicator import Communicator, run_on_all
from hvdtma.core.errors import UserError
from hypergraph.config import TrainConfig
from hypergraph.placement import DeviceSlot


def find_places(comm: Communicator, config: TrainConfig) -> list[DeviceSlot]:
    """The devices of all ranks; a collective call.

    Raises UserError, on every rank, where a GPU is asked for and none is found.
    """
    own = run_on_all(comm, lambda: _devices(comm, config))
    return [
        DeviceSlot(rank, device)
        for rank, all_ in enumerate(comm.all_gather_object(own))
        for device in all_
    ]


def _devices(comm: Communicator, config: TrainConfig) -> list[str]:
    """This rank's."""
    gpus = torch.cuda.device_count() if config.device != "cpu" else 0
    if config.device == "cuda" and not gpus:
        raise UserError("device is cuda, but PyTorch finds no GPU; use device=cpu or auto")
    if not gpus:
        return ["cpu"]
    if comm.size == 1:
        return [f"cuda:{number}" for number in range(gpus)]
    return [f"cuda:{comm.local_rank % gpus}"]
