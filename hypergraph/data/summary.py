"""A hypergraph in numbers, and in a table.

Legend: N items, n hyperedges, K arity.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse as sp
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation

QUANTILES = {"least": 0, "median": 50, "p90": 90, "p99": 99, "most": 100}


def summary(graph: MultimodalHypergraph) -> dict[str, Any]:
    """Modalities and relations by name, as plain numbers and words.

    A degree is in how many hyperedges an item is, of all relations; a density is the share of all
    possible hyperedges (or pairs) that are there.
    """
    return {
        "modalities": {name: _of_modality(graph, m) for name, m in graph.modalities.items()},
        "relations": {name: _of_relation(graph, r) for name, r in graph.relations.items()},
    }


def degrees(graph: MultimodalHypergraph, modality: str) -> np.ndarray:
    """In how many hyperedges each item is, int64 [N]; raises UserError for an unknown modality."""
    num_items = graph.modality(modality).num_items
    degree_N = np.zeros(num_items, np.int64)
    for relation in graph.relations_of(modality):
        degree_N += np.bincount(relation.column(modality), minlength=num_items)
    return degree_N


def _of_modality(graph: MultimodalHypergraph, modality: Modality) -> dict[str, Any]:
    degree_N = degrees(graph, modality.name)
    features, ids = modality.features, modality.ids
    return {
        "items": modality.num_items,
        "ids": "positions" if ids is None else "integers" if ids.dtype.kind == "i" else "strings",
        "features": None if features is None else int(features.shape[1]),
        "features_are_sparse": bool(sp.issparse(features)),
        "degree": {"mean": float(degree_N.mean())}
        | {name: float(np.percentile(degree_N, q)) for name, q in QUANTILES.items()},
        "in_no_hyperedge": float(np.mean(degree_N == 0)),
        "intra": _of_intra(modality),
    }


def _of_intra(modality: Modality) -> dict[str, Any] | None:
    intra, num_items = modality.intra, modality.num_items
    if intra is None:
        return None
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


def _of_relation(graph: MultimodalHypergraph, relation: Relation) -> dict[str, Any]:
    possible = math.prod(graph.modality(name).num_items for name in relation.modalities)
    values = relation.values
    parts = relation.part
    return {
        "modalities": list(relation.modalities),
        "arity": relation.arity,
        "hyperedges": relation.num_hyperedges,
        "repeats_dropped": relation.num_repeats,
        "density": relation.num_hyperedges / possible,
        "values": None
        if values is None
        else {
            "least": float(values.min()),
            "mean": float(values.mean(dtype=np.float64)),
            "most": float(values.max()),
        },
        "parts": None
        if parts is None
        else dict(
            zip(("train", "valid", "test"), np.bincount(parts, minlength=3).tolist(), strict=True)
        ),
    }


def tables(found: dict[str, Any]) -> Group:
    """A summary as two tables for a terminal."""
    modalities = Table("modality", "items", "features", "degree: median, p99, most",
                       "in no hyperedge", "intra edges", "made by", box=None)  # fmt: skip
    for name, m in found["modalities"].items():
        degree, intra = m["degree"], m["intra"]
        modalities.add_row(
            escape(name), f"{m['items']:,}", "-" if m["features"] is None else f"{m['features']:,}",
            f"{degree['median']:,.0f}, {degree['p99']:,.0f}, {degree['most']:,.0f}",
            f"{m['in_no_hyperedge']:.1%}",
            "-" if intra is None else f"{intra['edges']:,}", _made_by(intra),
        )  # fmt: skip
    relations = Table("relation", "joins", "hyperedges", "density", "values", "repeats dropped",
                      "train, valid, test", box=None)  # fmt: skip
    for name, r in found["relations"].items():
        values, parts = r["values"], r["parts"]
        relations.add_row(
            escape(name), escape(", ".join(r["modalities"])), f"{r['hyperedges']:,}",
            f"{r['density']:.2g}",
            "present" if values is None else f"{values['least']:.3g} to {values['most']:.3g}",
            f"{r['repeats_dropped']:,}",
            "-" if parts is None else ", ".join(f"{n:,}" for n in parts.values()),
        )  # fmt: skip
    return Group(modalities, "", relations)


def describe(graph: MultimodalHypergraph) -> None:
    """Print the summary."""
    console.print(tables(summary(graph)))


def _made_by(intra: dict[str, Any] | None) -> str:
    if intra is None or intra["recipe"] is None:
        return "-" if intra is None else "given"
    return f"{intra['recipe']['k']} nearest by {intra['recipe']['kind']}"
