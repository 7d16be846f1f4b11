"""The loss of a batch of a relation.

Legend: n hyperedges of a batch, K arity.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from hypergraph.config import HyperLearnConfig, LossConfig
from hypergraph.data import MultimodalHypergraph, Relation
from hypergraph.model.objective import balanced_weight, gram_loss, observed_loss, ranking_loss
from hypergraph.train.batches import HyperedgeBatch, HyperedgeBatches
from hypergraph.train.factor_view import FactorView


def loss_name(relation: Relation, config: LossConfig) -> str:
    """`gram` or `ranking`; `observed` for relations with values."""
    return "observed" if relation.values is not None else config.name


def make_batches(
    data: MultimodalHypergraph, config: HyperLearnConfig, modalities: Collection[str]
) -> list[HyperedgeBatches]:
    """The batches of each relation that some of the modalities are in."""
    return [
        HyperedgeBatches(
            relation,
            [data.modality(name).num_items for name in relation.modalities],
            batch_size=config.batch_size,
            negatives=config.loss.negatives * (loss_name(relation, config.loss) == "ranking"),
            stream=[config.seed, number],
            dtype=config.dtype,
        )
        for number, relation in enumerate(data.relations.values())
        if set(modalities) & set(relation.modalities)
    ]


def relation_loss(
    relation: Relation,
    batch: HyperedgeBatch,
    views: Sequence[FactorView],
    config: LossConfig,
    mean: float,
) -> torch.Tensor:
    """The loss of a batch, a scalar tensor.

    Args:
        views: the factors of the batch's rows, one view per modality, on one device.
        mean: the mean of the relation's values.
    """
    device = views[0].rows_SR.device
    indices_nK = batch.indices_nK.to(device)
    rows = [view.rows_SR for view in views]
    biases = [view.bias_of(relation.name) for view in views]
    name = loss_name(relation, config)
    if name == "observed":
        assert batch.value_n is not None
        value_n = batch.value_n.to(device)
        return observed_loss(indices_nK, value_n, rows, mean=mean, biases=biases)
    if name == "ranking":
        assert batch.corrupted_nKm is not None
        return ranking_loss(indices_nK, batch.corrupted_nKm.to(device), rows, biases=biases)
    sizes, count = [view.size for view in views], relation.num_hyperedges
    return gram_loss(
        indices_nK,
        rows,
        absent_weight=balanced_weight(count, sizes, config.absent_ratio),
        num_present=count,
        grams=[view.gram_RR for view in views],
        sizes=sizes,
    )
