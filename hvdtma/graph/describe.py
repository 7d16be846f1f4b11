"""`hvdtma info`: a store in a page. What grows with the graph is counted piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hvdtma.console import console
from hvdtma.graph.raw import PARTS
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
        pieces = array_pieces(store, "edge_type")
        number_of = _counted(pieces, len(store.edge_type_names))
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
    number_of = _counted(np.diff(indptr) for _, indptr in indptr_pieces(store))
    middle, late = (nodes - 1) // 2, int(0.99 * (nodes - 1))
    median, high = np.searchsorted(np.cumsum(number_of), [middle, late], side="right")
    return (
        f"mean {store.num_edges / nodes:.1f}, median {median}, 99th percentile {high}, "
        f"largest {len(number_of) - 1:,}; {number_of[0] / nodes:.1%} of nodes have none"
    )


def _counted(pieces: Iterable[np.ndarray], least: int = 0) -> np.ndarray:
    """How often each number from 0 on is in the pieces; as many as the largest asks for."""
    number_of: np.ndarray = np.zeros(least, np.int64)
    for piece in pieces:
        here = np.bincount(piece, minlength=len(number_of))
        here[: len(number_of)] += number_of
        number_of = here
    return number_of


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
