"""The devices that modalities can be placed on."""

from __future__ import annotations

import torch

from hvdtma.comm.communicator import Communicator, run_on_all
from hvdtma.core.errors import UserError
from hypergraph.config import HyperLearnConfig
from hypergraph.placement import DeviceSlot


def find_devices(comm: Communicator, config: HyperLearnConfig) -> list[DeviceSlot]:
    """The devices of all ranks. Collective.

    Raises UserError, on every rank, if the config asks for a GPU and there is none.
    """
    own = run_on_all(comm, lambda: _devices(comm, config))
    return [
        DeviceSlot(rank, device)
        for rank, devices in enumerate(comm.all_gather_object(own))
        for device in devices
    ]


def _devices(comm: Communicator, config: HyperLearnConfig) -> list[str]:
    """The devices of this rank."""
    gpus = torch.cuda.device_count() if config.device != "cpu" else 0
    if config.device == "cuda" and not gpus:
        raise UserError("device is cuda, but PyTorch finds no GPU; use device=cpu or auto")
    if not gpus:
        return ["cpu"]
    if comm.size == 1:
        return [f"cuda:{number}" for number in range(gpus)]
    return [f"cuda:{comm.local_rank % gpus}"]
