"""`hvdtma info`: the description of a store. Large arrays are read in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, indptr_pieces


def description(store: GraphStore) -> dict[str, str]:
    """The description of a store: texts by label."""
    kind = "undirected (each link stored both ways)" if store.undirected else "directed"
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
    if store.edge_type_names:
        number_of = np.zeros(len(store.edge_type_names), np.int64)
        for piece in array_pieces(store, "edge_type"):
            number_of += np.bincount(piece, minlength=len(number_of))
        named = zip(store.edge_type_names, number_of, strict=True)
        rows["edge types"] = ", ".join(f"{name} {number:,}" for name, number in named)
    if store.label_names:
        rows["labels"] = f"{len(store.label_names)} classes"
    for part in PARTS:
        rows |= _split_row(store, part)
    if store.attrs["counts"]:
        counts = store.attrs["counts"].items()
        rows["at build"] = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts)
    rows["on disk"] = f"{decimal(disk_bytes(store.path))} ({_largest(store)})"
    rows["made by"] = " -> ".join(
        f"{entry['command']} (hvdtma {entry['hvdtma']})" for entry in store.attrs["provenance"]
    )
    return rows


def order_text(store: GraphStore) -> str:
    """The order of the nodes, in one line."""
    order = store.attrs["order"].items()
    return ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in order)


def print_description(store: GraphStore) -> None:
    """Print the description as a table."""
    table = Table(show_header=False, box=None)
    for label, text in description(store).items():
        table.add_row(f"[bold]{label}", escape(text))
    console.print(table)


def _features(store: GraphStore) -> str:
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


def _largest(store: GraphStore) -> str:
    sizes = {name: disk_bytes(store.path / name) for name in store.array_names}
    top = sorted(sizes, key=sizes.__getitem__, reverse=True)[:4]
    return ", ".join(f"{name} {decimal(sizes[name])}" for name in top)
