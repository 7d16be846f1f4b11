"""Intra graphs made by a recipe: each item is joined with its k nearest items.

By features, the similarity of two items is the cosine of their features. By hyperedges, it is the
cosine of their partners: items of other modalities that they share hyperedges with. A partner
counts log(1 + hyperedges shared with it) log(1 + items / items that have the partner). Partners of
a single item join no two items and are left out.

Legend: N items, D features, P partners, k neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError, nearest
from hypergraph.data.intra import GraphRecipe, Intra
from hypergraph.data.modality import Modality
from hypergraph.data.relation import TRAIN, Relation
from hypergraph.data.top_k import most_similar

ITEMS_PER_BLOCK = 4096
LEAST_COSINE = 1e-6  # below it, two float32 rows have nothing in common


def nearest_items(
    modality: Modality, relations: Sequence[Relation], sizes: Mapping[str, int], recipe: GraphRecipe
) -> Intra:
    """The graph that a recipe makes inside a modality; the weights are cosines.

    Hyperedges that a given split holds out are not used.

    Args:
        relations: the relations that the modality is in.
        sizes: number of items of every modality.

    Raises UserError if the recipe needs features or relations that the modality does not have.
    """
    if recipe.kind == "hyperedges":
        used = _used(modality.name, relations, recipe)
        partners_NP = _partners(modality, used, sizes)
        return _joined(*most_similar(_unit(partners_NP), recipe.k), recipe)
    features = modality.features
    if features is None:
        raise UserError(
            f"modality '{modality.name}' has no features to find neighbours by; give it some, or "
            "take neighbours by 'hyperedges'"
        )
    if sp.issparse(features):
        return _joined(*most_similar(_unit(sp.csr_array(features)), recipe.k), recipe)
    return _joined(*_most_similar_dense(np.asarray(features), recipe.k), recipe)


def _joined(index_Nk: np.ndarray, cosine_Nk: np.ndarray, recipe: GraphRecipe) -> Intra:
    item, rank = np.nonzero((index_Nk >= 0) & (cosine_Nk > LEAST_COSINE))
    edges = np.stack([item, index_Nk[item, rank]], axis=1)
    return Intra.of(edges, np.minimum(cosine_Nk[item, rank], 1), recipe)


def _most_similar_dense(features_ND: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`most_similar` for dense features: the nearest rows of length 1 have the largest cosine."""
    from sklearn.neighbors import NearestNeighbors  # takes seconds to import

    length_N = np.linalg.norm(features_ND, axis=1, keepdims=True)
    some = np.flatnonzero(length_N[:, 0] > 0)
    index_Nk = np.full((len(features_ND), k), -1, np.int64)
    cosine_Nk = np.zeros((len(features_ND), k), np.float32)
    found = min(k, len(some) - 1)
    if found < 1:
        return index_Nk, cosine_Nk
    unit = features_ND[some] / length_N[some]
    search = NearestNeighbors(n_neighbors=found + 1, algorithm="brute").fit(unit)
    for start in range(0, len(some), ITEMS_PER_BLOCK):
        block = slice(start, start + ITEMS_PER_BLOCK)
        distance, index = search.kneighbors(unit[block])
        own = index == np.arange(start, start + len(index))[:, None]
        own[~own.any(1), -1] = True  # a row may not find itself among many equal ones
        rows = some[block]
        index_Nk[rows, :found] = some[index[~own].reshape(-1, found)]
        cosine_Nk[rows, :found] = (1 - distance[~own] ** 2 / 2).reshape(-1, found)
    return index_Nk, cosine_Nk


def _unit(rows: sp.csr_array) -> sp.csr_array:
    """Rows of length 1, or 0."""
    length = np.sqrt(rows.multiply(rows).sum(1))
    scale = np.divide(1, length, out=np.zeros(len(length)), where=length > 0)
    return sp.csr_array(sp.diags_array(scale) @ rows)


def _partners(
    modality: Modality, relations: Sequence[Relation], sizes: Mapping[str, int]
) -> sp.csr_array:
    """Weighted counts [N, P] of the partners that items share hyperedges with."""
    counts: dict[str, sp.csr_array] = {}
    for relation in relations:
        rows = slice(None) if relation.part is None else relation.part == TRAIN
        items = relation.column(modality.name)[rows]
        for name in relation.modalities:
            if name == modality.name:
                continue
            shape = (modality.num_items, sizes[name])
            found = (np.ones(len(items), np.float32), (items, relation.column(name)[rows]))
            shared = sp.csr_array(sp.coo_array(found, shape=shape))
            counts[name] = counts[name] + shared if name in counts else shared
    return sp.csr_array(sp.hstack([_weighted(count) for count in counts.values()], format="csr"))


def _weighted(count: sp.csr_array) -> sp.csr_array:
    items_with_P = np.bincount(count.indices, minlength=count.shape[1])
    num_items = np.count_nonzero(np.diff(count.indptr))
    rarity_P = np.log1p(num_items / np.maximum(items_with_P, 1)) * (items_with_P > 1)
    count.data = np.log1p(count.data)
    return sp.csr_array(count @ sp.diags_array(rarity_P.astype(np.float32)))


def _used(name: str, relations: Sequence[Relation], recipe: GraphRecipe) -> list[Relation]:
    """The relations that a recipe uses."""
    if not relations:
        raise UserError(f"modality '{name}' is in no relation to find neighbours by")
    valid = [relation.name for relation in relations]
    for wanted in recipe.relations:
        if wanted not in valid:
            raise UserError(
                f"modality '{name}' is in no relation '{wanted}'; {nearest(wanted, valid)}"
            )
    return [each for each in relations if not recipe.relations or each.name in recipe.relations]
