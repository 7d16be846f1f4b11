"""Scores by popularity: the number of training hyperedges of an item, or the mean of its values.

Legend: N items, n hyperedges.
"""

from __future__ import annotations

import numpy as np

from hypergraph.data import MultimodalHypergraph
from hypergraph.factors import Factors

SHRINKAGE = 5.0  # weight of the overall mean in an item's mean, in hyperedges


def popularity(train: MultimodalHypergraph, relation: str) -> Factors:
    """Factors of zeros with biases: counts, or shrunken mean deviations of values."""
    of = train.relation(relation)
    rows, biases = {}, {}
    for name in of.modalities:
        size = train.modality(name).num_items
        count_N = np.bincount(of.column(name), minlength=size).astype(np.float32)
        if of.values is not None:
            deviation_n = of.values - of.values.mean()
            total_N = np.bincount(of.column(name), deviation_n, minlength=size)
            count_N = (total_N / (count_N + SHRINKAGE)).astype(np.float32)
        rows[name], biases[name] = np.zeros((size, 1), np.float32), count_N
    return Factors(rows, {relation: biases})
