"""Checks of the data before a model is made."""

from __future__ import annotations

from hvdtma.comm.communicator import Communicator
from hvdtma.core.errors import UserError, nearest
from hypergraph.config import HyperLearnConfig
from hypergraph.data import MultimodalHypergraph, Split


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
