"""Checks of the data before a model is made."""

from __future__ import annotations

from collections.abc import Collection

import torch

from hvdtma.comm.communicator import Communicator
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.memory import check_free_memory
from hypergraph.config import HyperLearnConfig
from hypergraph.data import MultimodalHypergraph, Split

COPIES = 4  # of parameters: themselves, gradients, and two of the optimizer


def check_linked(data: MultimodalHypergraph) -> None:
    """Raises UserError for a modality that is in no relation: nothing would be learned of it."""
    for name in data.modalities:
        if not data.relations_of(name):
            raise UserError(f"modality '{name}' is in no relation; leave it out, or give it one")


def check_row_dropout(data: MultimodalHypergraph, config: HyperLearnConfig) -> None:
    """Raises UserError if `row_dropout` names an unknown modality."""
    valid = list(data.modalities)
    for name in config.model.row_dropout:
        if name not in valid:
            raise UserError(
                f"model.row_dropout names the modality '{name}'; {nearest(name, valid)}"
            )


def check_nothing_held_out(data: MultimodalHypergraph) -> None:
    """Raises UserError if a given split holds out hyperedges: they would be trained on."""
    for name, relation in data.relations.items():
        if relation.part is not None and relation.part.any():
            raise UserError(
                f"relation '{name}' comes with a split; call "
                f"HyperLearn(given_split(graph, '{name}')), or remove the parts to train on all "
                "hyperedges"
            )


def check_same_data(
    data: MultimodalHypergraph | Split, config: HyperLearnConfig, comm: Communicator
) -> None:
    """Raises UserError, on every rank, if a rank has another hypergraph or another config."""
    if comm.size == 1:
        return
    sums = comm.all_gather_object((data.checksum(), config.model_dump_json()))
    for rank, (checksum, settings) in enumerate(sums):
        if checksum != sums[0][0]:
            raise UserError(
                f"rank {rank} has another hypergraph or split than rank 0 (checksum {checksum} "
                f"instead of {sums[0][0]}); all ranks must read the same data"
            )
        if settings != sums[0][1]:
            raise UserError(f"rank {rank} has another config than rank 0")


def check_memory(
    data: MultimodalHypergraph, config: HyperLearnConfig, names: Collection[str]
) -> None:
    """Raise UserError if the factors of modalities need more memory than is free.

    Args:
        names: the modalities that are trained in this process, in the machine's own memory.
    """
    model, parameters = config.model, 0
    for name in names:
        modality = data.modality(name)
        parameters += modality.num_items * model.dim
        if modality.intra is not None and model.steps:
            parameters += (model.order + 10) * model.dim**2  # convolution, LSTM and update
    check_free_memory(
        COPIES * parameters * torch.finfo(config.dtype).bits // 8,
        f"the factors of {', '.join(names)}",
        "give a smaller model.dim or model.order",
    )
