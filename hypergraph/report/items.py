"""Which items a report draws, kept in a run's folder with what they are called.

The model's file holds factors without ids, and the data may be elsewhere when a report is written.

Legend: N items.
"""

from __future__ import annotations

import numpy as np

from hypergraph.data import MultimodalHypergraph
from hypergraph.data.summary import degrees

MOST = 2000  # of a modality
MOST_IN_ALL = 6000  # a browser lets one point at so many dots without being slow

Items = dict[str, dict[str, list]]


def choose_items(graph: MultimodalHypergraph, *, seed: int = 0) -> Items:
    """Positions, ids and degrees of each modality's items that are in most hyperedges.

    Chance decides between equal ones; items in none are left out.
    """
    random, found = np.random.default_rng(seed), {}
    most = min(MOST, MOST_IN_ALL // len(graph.modalities))
    for name, modality in graph.modalities.items():
        degree_N = degrees(graph, name)
        first = np.lexsort((random.random(len(degree_N)), -degree_N))[:most]
        items = np.sort(first[degree_N[first] > 0])
        found[name] = {
            "items": items.tolist(),
            "ids": [modality.id_of(int(item)) for item in items],
            "degrees": degree_N[items].tolist(),
        }
    return found
