"""What data must be like to be trained on, before anything is made of them."""

from __future__ import annotations

from hvdtma.comm.communicator import Communicator
from hvdtma.core.errors import UserError, nearest
from hypergraph.config import TrainConfig
from hypergraph.data import MultimodalHypergraph, Split


def check_linked(data: MultimodalHypergraph) -> None:
    """Raises UserError for a modality that is in no relation: nothing would be learned of it."""
    for name in data.modalities:
        if not data.relations_of(name):
            raise UserError(f"modality '{name}' is in no relation; leave it out, or give it one")


def check_row_dropout(data: MultimodalHypergraph, config: TrainConfig) -> None:
    """Raises UserError for a modality that is not there."""
    there = list(data.modalities)
    for name in config.model.row_dropout:
        if name not in there:
            raise UserError(
                f"model.row_dropout names the modality '{name}'; {nearest(name, there)}"
            )


def check_nothing_held_out(data: MultimodalHypergraph) -> None:
    """Raises UserError if a given split holds some hyperedges out: they would be trained on."""
    for name, relation in data.relations.items():
        if relation.part is not None and relation.part.any():
            raise UserError(
                f"relation '{name}' comes with a split; give "
                f"HyperLearn(given_split(graph, '{name}')), or leave its parts out to train on all "
                "of it"
            )


def check_same_data(
    data: MultimodalHypergraph | Split, config: TrainConfig, comm: Communicator
) -> None:
    """Raises UserError, on every rank, if one of them has another hypergraph or another config."""
    if comm.size == 1:
        return
    sums = comm.all_gather_object((data.checksum(), config.model_dump_json()))
    for rank, (checksum, settings) in enumerate(sums):
        if checksum != sums[0][0]:
            raise UserError(
                f"rank {rank} has another hypergraph than rank 0 (checksum {checksum} instead of "
                f"{sums[0][0]}), or holds other hyperedges out; all ranks must read the same data"
            )
        if settings != sums[0][1]:
            raise UserError(f"rank {rank} was given another config than rank 0")
