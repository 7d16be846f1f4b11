"""The items that a report draws, with their ids; they are stored in the run's folder.

The model's file has no ids, and the data may not be at hand when a report is written.

Legend: N items.
"""

from __future__ import annotations

import numpy as np

from hypergraph.data import MultimodalHypergraph

MOST = 2000  # items of a modality
MOST_IN_ALL = 6000  # with more dots, pointing at them is slow in a browser

DrawnItems = dict[str, dict[str, list]]
"""Modality -> `items` (positions), `ids` and `degrees`."""


def choose_items(graph: MultimodalHypergraph, *, seed: int = 0) -> DrawnItems:
    """The items of each modality that are in most hyperedges.

    Ties are broken at random; items in no hyperedge are left out.
    """
    random, found = np.random.default_rng(seed), {}
    most = min(MOST, MOST_IN_ALL // len(graph.modalities))
    for name, modality in graph.modalities.items():
        degree_N = graph.degrees(name)
        first = np.lexsort((random.random(len(degree_N)), -degree_N))[:most]
        items = np.sort(first[degree_N[first] > 0])
        found[name] = {
            "items": items.tolist(),
            "ids": [modality.id_of(int(item)) for item in items],
            "degrees": degree_N[items].tolist(),
        }
    return found
