"""`hvdtma info`: a store in a page. N nodes, E stored edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hvdtma.console import console
from hvdtma.graph.raw import PARTS
from hvdtma.graph.store import GraphStore


def description(store: GraphStore) -> dict[str, str]:
    """What there is to say of a store, as label and text."""
    degree_N = np.diff(store.read("indptr"))
    kind = "undirected (each link stored both ways)" if store.undirected else "directed"
    sizes = np.diff(store.block_offsets)
    rows = {
        "store": str(store.path),
        "nodes": f"{store.num_nodes:,}",
        "edges": f"{store.num_edges:,} for training, {kind}",
        "in-degree": _degrees(degree_N),
        "features": f"{store.feature_dim} x {store.array('feat').dtype}",
        "first hop": "stored" if "first_hop" in store else "not stored",
        "order": order_text(store),
        "blocks": f"{store.num_blocks:,} of {sizes.min():,} to {sizes.max():,} nodes",
        "ids": "strings" if "node_id/utf8" in store else "integers",
    }
    if store.edge_type_names:
        count = np.bincount(store.read("edge_type"), minlength=len(store.edge_type_names))
        named = zip(store.edge_type_names, count, strict=True)
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


def _degrees(degree_N: np.ndarray) -> str:
    if not len(degree_N):
        return "no nodes"
    median, high = np.percentile(degree_N, [50, 99])
    return (
        f"mean {degree_N.mean():.1f}, median {median:.0f}, 99th percentile {high:.0f}, "
        f"largest {degree_N.max():,}; {np.mean(degree_N == 0):.1%} of nodes have none"
    )


def _split_row(store: GraphStore, part: str) -> dict[str, str]:
    links, nodes = store.links(part), store.labelled_nodes(part)
    said = []
    if links is not None:
        against = "" if links.neg is None else f" (each against {links.neg.shape[1]:,} negatives)"
        said.append(f"{len(links):,} links{against}")
    if nodes is not None:
        said.append(f"{len(nodes):,} labelled nodes")
    return {f"{part} split": ", ".join(said)} if said else {}


def disk_bytes(path: Path) -> int:
    """What all files under `path` take together."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _largest(store: GraphStore) -> str:
    sizes = {name: disk_bytes(store.path / name) for name in store.array_names}
    top = sorted(sizes, key=sizes.__getitem__, reverse=True)[:4]
    return ", ".join(f"{name} {decimal(sizes[name])}" for name in top)
