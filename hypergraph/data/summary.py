"""A hypergraph in numbers.

Legend: N items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from hypergraph.data.intra import Intra
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation

QUANTILES = {"least": 0, "median": 50, "p90": 90, "p99": 99, "most": 100}


def summary(
    modalities: Mapping[str, Modality], relations: Mapping[str, Relation]
) -> dict[str, Any]:
    """Modalities and relations by name, as plain values.

    The degree of an item is its number of hyperedges in all relations. A density is the share of
    all possible hyperedges (or pairs) that exist.
    """
    return {
        "modalities": {name: _of_modality(m, relations) for name, m in modalities.items()},
        "relations": {name: _of_relation(r, modalities) for name, r in relations.items()},
    }


def degrees(modality: Modality, relations: Mapping[str, Relation]) -> np.ndarray:
    """The number of hyperedges of each item, over all relations, int64 [N]."""
    degree_N = np.zeros(modality.num_items, np.int64)
    for relation in relations.values():
        if modality.name in relation.modalities:
            degree_N += np.bincount(relation.column(modality.name), minlength=modality.num_items)
    return degree_N


def _of_modality(modality: Modality, relations: Mapping[str, Relation]) -> dict[str, Any]:
    degree_N = degrees(modality, relations)
    features, ids = modality.features, modality.ids
    return {
        "items": modality.num_items,
        "ids": "positions" if ids is None else "integers" if ids.dtype.kind == "i" else "strings",
        "features": None if features is None else int(features.shape[1]),
        "features_are_sparse": bool(sp.issparse(features)),
        "degree": {"mean": float(degree_N.mean())}
        | {name: float(np.percentile(degree_N, q)) for name, q in QUANTILES.items()},
        "in_no_hyperedge": float(np.mean(degree_N == 0)),
        "intra": None if modality.intra is None else _of_intra(modality.intra, modality.num_items),
    }


def _of_intra(intra: Intra, num_items: int) -> dict[str, Any]:
    pairs = num_items * (num_items - 1) / 2
    degree_N = np.bincount(intra.edges.ravel(), minlength=num_items)
    return {
        "edges": intra.num_edges,
        "density": intra.num_edges / pairs if pairs else 0.0,
        "weighted": intra.weights is not None,
        "largest_degree": int(degree_N.max()),
        "without_edges": float(np.mean(degree_N == 0)),
        "recipe": None if intra.recipe is None else intra.recipe.as_dict(),
    }


def _of_relation(relation: Relation, modalities: Mapping[str, Modality]) -> dict[str, Any]:
    possible = math.prod(modalities[name].num_items for name in relation.modalities)
    return {
        "modalities": list(relation.modalities),
        "arity": relation.arity,
        "hyperedges": relation.num_hyperedges,
        "repeats_dropped": relation.num_repeats,
        "density": relation.num_hyperedges / possible,
        "values": None if relation.values is None else _of_values(relation.values),
        "parts": None if relation.part is None else _of_parts(relation.part),
    }


def _of_values(value_n: np.ndarray) -> dict[str, float]:
    return {
        "least": float(value_n.min()),
        "mean": float(value_n.mean(dtype=np.float64)),
        "most": float(value_n.max()),
    }


def _of_parts(part_n: np.ndarray) -> dict[str, int]:
    counts = np.bincount(part_n, minlength=3).tolist()
    return dict(zip(("train", "valid", "test"), counts, strict=True))
