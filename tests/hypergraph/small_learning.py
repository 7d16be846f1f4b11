"""Small hypergraphs to learn from, with something to be learned.

Legend: n hyperedges, K modalities.
"""

import numpy as np

from hypergraph.config import HyperLearnConfig
from hypergraph.data import Intra, Modality, MultimodalHypergraph, Relation

GROUPS = 4


def config_of(**changes):
    values = {"iterations": 40, "batch_size": 64, "model": {"dim": 8}, "loss": {"negatives": 8}}
    return HyperLearnConfig.model_validate(values | changes)


def small_graph(num_modalities, *, seed=0, num_hyperedges=400, num_ratings=300):
    """Unequal modalities in groups; hyperedges within a group, and values by groups."""
    random = np.random.default_rng(seed)
    sizes = [30 + 17 * k for k in range(num_modalities)]
    groups = [random.integers(0, GROUPS, size) for size in sizes]
    modalities = [_modality(f"m{k}", group, random) for k, group in enumerate(groups)]
    names = tuple(modality.name for modality in modalities)
    group_n = random.integers(0, GROUPS, num_hyperedges)
    rows = [[random.choice(np.flatnonzero(g == own)) for own in group_n] for g in groups]
    all_ = Relation("all", names, np.stack(rows, 1))
    pairs = np.stack([random.integers(0, size, num_ratings) for size in sizes[:2]], 1)
    same = groups[0][pairs[:, 0]] == groups[1][pairs[:, 1]]
    values = np.where(same, 4.0, 2.0) + random.normal(0, 0.1, num_ratings)
    return MultimodalHypergraph.of(modalities, [all_, Relation("rating", names[:2], pairs, values)])


def ring(num_modalities, size=50, num_hyperedges=200):
    """Equal modalities, each in a relation with the next."""
    random = np.random.default_rng(0)
    modalities = [Modality(f"m{k}", size) for k in range(num_modalities)]
    relations = [
        Relation(
            f"r{k}",
            (f"m{k}", f"m{(k + 1) % num_modalities}"),
            np.unique(random.integers(0, size, (num_hyperedges, 2)), axis=0),
        )
        for k in range(num_modalities)
    ]
    return MultimodalHypergraph.of(modalities, relations)


def _modality(name, group_N, random):
    size = len(group_N)
    edges = random.integers(0, size, (6 * size, 2))
    within = group_N[edges[:, 0]] == group_N[edges[:, 1]]
    features = np.eye(GROUPS, dtype=np.float32)[group_N] + random.normal(0, 0.3, (size, GROUPS))
    return Modality(name, size, features=features, intra=Intra.of(edges[within]))
