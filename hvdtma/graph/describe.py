"""`hvdtma info`: the description of a store. Large arrays are read in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.build_report import print_report
from hvdtma.graph.candidate_text import candidate_text, fewest_candidates
from hvdtma.graph.label_statistics import LabelStatistics, stored_labels
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, indptr_pieces
from hvdtma.graph.typed.schema import DEGREES, GraphSchema

SHOWN_NAMES = 20  # of classes or targets


def description(store: GraphStore) -> dict[str, str]:
    """The description of a store: texts by label."""
    kind = "undirected (each link stored both ways)" if store.undirected else "directed"
    if store.attrs.get("message_order") == "time":
        kind = "directed: messages go from earlier to later nodes"
    sizes = np.diff(store.block_offsets)
    rows = {
        "store": str(store.path),
        "nodes": f"{store.num_nodes:,}",
        "edges": f"{store.num_edges:,} for training, {kind}",
        "in-degree": _degrees(store),
        "features": _features(store),
        "first hop": "stored" if "first_hop" in store else "not stored",
        "order": order_text(store),
        "blocks": f"{store.num_blocks:,} of {sizes.min():,} to {sizes.max():,} nodes",
        "ids": "strings" if "node_id/utf8" in store else "integers",
    }
    if store.schema is not None:
        rows |= _typed_rows(store.schema)
    elif store.edge_type_names:
        number_of = np.zeros(len(store.edge_type_names), np.int64)
        for piece in array_pieces(store, "edge_type"):
            number_of += np.bincount(piece, minlength=len(number_of))
        named = zip(store.edge_type_names, number_of, strict=True)
        rows["edge types"] = ", ".join(f"{name} {number:,}" for name, number in named)
    if "weights" in store.attrs:
        least, median, largest = (store.attrs["weights"][key] for key in ("min", "median", "max"))
        rows["edge weights"] = f"{least:.4g} to {largest:.4g}, median {median:.4g}"
    if "times" in store.attrs:
        rows["times"] = _times(store.attrs["times"])
    if store.label_names:
        rows["labels"] = label_text(stored_labels(store), store.label_names)
    for part in PARTS:
        rows |= _split_row(store, part)
    if store.held_out:
        rows["negatives"] = _negatives(store)
    rows["on disk"] = f"{decimal(disk_bytes(store.path))} ({_largest(store)})"
    rows["made by"] = " -> ".join(
        f"{entry['command']} (hvdtma {entry['hvdtma']})" for entry in store.attrs["provenance"]
    )
    return rows


def _typed_rows(schema: GraphSchema) -> dict[str, str]:
    """The node types with their features, and the edge types."""
    kinds = {"svd": ", reduced by an SVD", DEGREES: " of their degrees"}
    nodes = [
        f"{name} {size:,} ({dim} features{kinds.get(kind, '')})"
        for name, size, dim, kind in zip(
            schema.node_types, schema.sizes, schema.dims, schema.features, strict=True
        )
    ]
    edges = zip(schema.edge_type_names, schema.num_edges, strict=True)
    return {
        "node types": ", ".join(nodes),
        "edge types": ", ".join(f"{name} {number:,}" for name, number in edges),
    }


def label_text(statistics: LabelStatistics, names: Sequence[str]) -> str:
    """The classes with their sizes, or the targets with their means and ranges."""
    labelled, number = f"{statistics.labelled:,} labelled nodes", len(names)
    shown: np.ndarray = np.arange(number)
    if number > SHOWN_NAMES:  # the largest ones
        size_C = statistics.known_C if statistics.kind == "real" else statistics.count_C
        shown = np.argsort(-size_C, kind="stable")[:SHOWN_NAMES]
    if statistics.kind == "real":
        kind = f"{number} target{'s' * (number != 1)} of regression"
        texts = [_target_text(statistics, column, names[column]) for column in shown]
    else:
        kind = "1 class" if number == 1 else f"{number:,} classes"
        if statistics.kind == "multi":
            kind = f"{number:,} labels, several per node"
        texts = [f"{names[column]} {statistics.count_C[column]:,}" for column in shown]
    more = f" and {number - SHOWN_NAMES:,} more" if number > SHOWN_NAMES else ""
    return f"{kind}; {labelled}: {', '.join(texts)}{more}"


def _target_text(statistics: LabelStatistics, column: int, name: str) -> str:
    known = statistics.known_C[column]
    if not known:
        return f"{name} unknown"
    mean, deviation = statistics.mean_C[column], statistics.deviation[column]
    least, most = statistics.least_C[column], statistics.most_C[column]
    of_some = f" of {known:,} nodes" if known < statistics.labelled else ""
    return f"{name}{of_some} {least:g} to {most:g}, mean {mean:g}, deviation {deviation:g}"


def order_text(store: GraphStore) -> str:
    """The order of the nodes, in one line."""
    order = store.attrs["order"].items()
    return ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in order)


def print_description(store: GraphStore) -> None:
    """Print the description and the report of the build as tables."""
    table = Table(show_header=False, box=None)
    for label, text in description(store).items():
        table.add_row(f"[bold]{label}", escape(text))
    console.print(table)
    print_report(store)


def _times(times: dict) -> str:
    """The range of times, and the cuts of a split by time."""
    text = f"{times['first']} to {times['last']} ({times['of']})"
    if "test_from" in times:
        text += f"; valid from {times['valid_from']}, test from {times['test_from']}"
    return text


def _features(store: GraphStore) -> str:
    if store.schema is not None:
        return f"{store.feature_dtype}, of their own for each node type"
    kinds = {"svd": ", reduced by an SVD", "graph": ", made from the graph"}
    kind = kinds.get(store.features["kind"], "") if store.features else ""
    return f"{store.feature_dim} x {store.feature_dtype}{kind}"


def _degrees(store: GraphStore) -> str:
    nodes = store.num_nodes
    if not nodes:
        return "no nodes"
    degrees, number_of = _counted(np.diff(indptr) for _, indptr in indptr_pieces(store))
    middle, late = (nodes - 1) // 2, int(0.99 * (nodes - 1))
    at = np.searchsorted(np.cumsum(number_of), [middle, late], side="right")
    median, high = degrees[at]
    return (
        f"mean {store.num_edges / nodes:.1f}, median {median}, 99th percentile {high}, "
        f"largest {degrees[-1]:,}; "
        f"{number_of[degrees == 0].sum() / nodes:.1%} of nodes have no in-edge"
    )


def _counted(pieces: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers in the pieces, ascending, and their counts.

    Not `bincount`, whose size is that of the largest number, such as the degree of a hub.
    """
    numbers, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for piece in pieces:
        new_numbers, new_counts = np.unique(piece, return_counts=True)
        numbers, place = np.unique(np.r_[numbers, new_numbers], return_inverse=True)
        added, counts = np.r_[counts, new_counts], np.zeros(len(numbers), np.int64)
        np.add.at(counts, place, added)
    return numbers, counts


def _split_row(store: GraphStore, part: str) -> dict[str, str]:
    texts = []
    if part in store.held_out:
        links, negatives = store.held_out[part]
        each = f" with {negatives:,} negatives each" if negatives else ""
        texts.append(f"{links:,} links{each}")
    if f"split/{part}/node" in store:
        texts.append(f"{store.array(f'split/{part}/node').shape[0]:,} labelled nodes")
    return {f"{part} split": ", ".join(texts)} if texts else {}


def disk_bytes(path: Path) -> int:
    """The size of all files under `path` together."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _negatives(store: GraphStore) -> str:
    rules = store.candidate_rules
    text = candidate_text(rules, store.edge_type_names, store.undirected)
    given = store.attrs.get("negatives_given", [])
    if given:
        text += f"; those of {' and '.join(given)} were given"
    least, most = (
        fewest_candidates(rules, store.num_nodes),
        max(k for _, k in store.held_out.values()),
    )
    return text + (f" (with repeats: down to {least:,} nodes)" if least < most else "")


def _largest(store: GraphStore) -> str:
    sizes = {name: disk_bytes(store.path / name) for name in store.array_names}
    top = sorted(sizes, key=sizes.__getitem__, reverse=True)[:4]
    return ", ".join(f"{name} {decimal(sizes[name])}" for name in top)
