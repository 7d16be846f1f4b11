"""`hvdtma info`: a store in a page. What grows with the graph is counted piece by piece."""

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
    """What there is to say of a store, as label and text."""
    kind = "undirected (each link stored both ways)" if store.undirected else "directed"
    sizes = np.diff(store.block_offsets)
    rows = {
        "store": str(store.path),
        "nodes": f"{store.num_nodes:,}",
        "edges": f"{store.num_edges:,} for training, {kind}",
        "in-degree": _degrees(store),
        "features": f"{store.feature_dim} x {store.array('feat').dtype}",
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
    """How the nodes are ordered, in a line."""
    order = store.attrs["order"].items()
    return ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in order)


def print_description(store: GraphStore) -> None:
    """Print the description as a table."""
    table = Table(show_header=False, box=None)
    for label, text in description(store).items():
        table.add_row(f"[bold]{label}", escape(text))
    console.print(table)


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
        f"largest {degrees[-1]:,}; {number_of[degrees == 0].sum() / nodes:.1%} of nodes have none"
    )


def _counted(pieces: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers in the pieces, ascending, and how often each is there.

    Few are distinct where one is very large: the degree of a hub, say.
    """
    numbers, often = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for piece in pieces:
        here, often_here = np.unique(piece, return_counts=True)
        numbers, place = np.unique(np.r_[numbers, here], return_inverse=True)
        before, often = np.r_[often, often_here], np.zeros(len(numbers), np.int64)
        np.add.at(often, place, before)
    return numbers, often


def _split_row(store: GraphStore, part: str) -> dict[str, str]:
    said = []
    if part in store.held_out:
        links, negatives = store.held_out[part]
        against = f" (each against {negatives:,} negatives)" if negatives else ""
        said.append(f"{links:,} links{against}")
    if f"split/{part}/node" in store:
        said.append(f"{store.array(f'split/{part}/node').shape[0]:,} labelled nodes")
    return {f"{part} split": ", ".join(said)} if said else {}


def disk_bytes(path: Path) -> int:
    """What all files under `path` take together."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _largest(store: GraphStore) -> str:
    sizes = {name: disk_bytes(store.path / name) for name in store.array_names}
    top = sorted(sizes, key=sizes.__getitem__, reverse=True)[:4]
    return ", ".join(f"{name} {decimal(sizes[name])}" for name in top)
