"""`hvdtma verify`: whether a store still holds what was written, and keeps its promises.

Legend: N nodes, E edges, n held-out links, K negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow.compute as pc

from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.graph.array_writer import digest
from hvdtma.graph.csc import CSC
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.raw import PARTS
from hvdtma.graph.splits import pair_key
from hvdtma.graph.store import GraphStore

ROUNDING = 1e-5


def verification(store: GraphStore) -> Iterator[tuple[str, str | None]]:
    """Checks one by one: what is checked, and what is wrong (None: nothing).

    Ends early where what follows would read damaged arrays, or outside of them.
    """
    damaged = False
    for name in store.array_names:
        wrong = _checksum(store, name)
        damaged |= wrong is not None
        yield f"checksum of {name}", wrong
    if damaged:
        return
    csc = store.rows(0, store.num_nodes)
    for what, check in STRUCTURE.items():
        wrong = check(store, csc)
        yield what, wrong
        if wrong:
            return
    for what, check in PROMISES.items():
        yield what, check(store, csc)


def print_verification(store: GraphStore) -> None:
    """Print every check; raises UserError at the end if one failed."""
    failed = 0
    for what, wrong in verification(store):
        failed += wrong is not None
        console.print(
            f"{'[green]ok[/]  ' if wrong is None else '[red]BAD[/] '} {what}"
            + (f": {wrong}" if wrong else "")
        )
    if failed:
        raise UserError(f"{store.path}: {failed} checks failed; build it again")


def _checksum(store: GraphStore, name: str) -> str | None:
    try:
        found = digest(store.read(name))
    except UserError as error:
        return str(error).partition(". Find the damage")[0]
    return None if found == store.attrs["checksums"][name] else "differs from what was written"


def _lengths_agree(store: GraphStore, csc: CSC) -> str | None:
    num_nodes, num_edges = store.num_nodes, store.num_edges
    for name, length in (
        ("indptr", num_nodes + 1),
        ("indices", num_edges),
        ("edge_type", num_edges),
        ("feat", num_nodes),
        ("first_hop", num_nodes),
        ("label", num_nodes),
    ):
        found = store.array(name).shape[0] if name in store else length
        if found != length:
            return f"{name} has {found} rows, not {length}"
    return None


def _csc_is_sound(store: GraphStore, csc: CSC) -> str | None:
    if csc.indptr[0] != 0 or csc.indptr[-1] != store.num_edges or (np.diff(csc.indptr) < 0).any():
        return "indptr does not count the edges"
    if csc.num_edges and not 0 <= csc.indices.min() <= csc.indices.max() < store.num_nodes:
        return "indices point outside the graph"
    descends = np.flatnonzero(np.diff(csc.indices) < 0) + 1
    if not np.isin(descends, csc.indptr).all():
        return "sources do not ascend within a destination"
    return None


def _blocks_cover(store: GraphStore, csc: CSC) -> str | None:
    offsets = store.block_offsets
    if not _is_cover(offsets, store.num_nodes):
        return "blocks do not cover the nodes in order"
    parts = store.part_offsets
    if parts is not None and not _is_cover(parts, store.num_blocks):
        return "parts do not cover the blocks in order"
    return None


def _is_cover(offsets: np.ndarray, end: int) -> bool:
    return offsets[0] == 0 and offsets[-1] == end and bool((np.diff(offsets) > 0).all())


def _numbers_are_in_range(store: GraphStore, csc: CSC) -> str | None:
    ends = {"label": len(store.label_names), "edge_type": len(store.edge_type_names)}
    for name in store.array_names:
        part, _, kind = name.rpartition("/")
        if kind not in ends and not part.startswith("split/"):
            continue
        values, least = store.read(name), -1 if kind == "label" else 0
        end = ends.get(kind, store.num_nodes)
        if len(values) and not least <= values.min() <= values.max() < end:
            return f"{name} holds {values.min()} to {values.max()}, not {least} to {end - 1}"
    return None


def _ids_are_distinct(store: GraphStore, csc: CSC) -> str | None:
    ids = store.node_ids()
    distinct = pc.count_distinct(ids.values).as_py()
    if len(ids) == distinct == store.num_nodes:
        return None
    return f"{distinct} distinct ids in {len(ids)}, for {store.num_nodes} nodes"


def _mirrored(store: GraphStore, csc: CSC) -> str | None:
    if not store.undirected:
        return None
    dst = csc.destinations()
    both = csc.has_edges(dst, csc.indices).all()
    return None if both else "an undirected link is stored one way only"


def _no_leak(store: GraphStore, csc: CSC) -> str | None:
    for part in ("valid", "test"):
        pairs = store.links(part)
        if pairs is None:
            continue
        leaks = csc.has_edges(pairs.src, pairs.dst) | csc.has_edges(pairs.dst, pairs.src)
        if leaks.any():
            return f"{leaks.sum()} held-out {part} links are in the training graph"
    return None


def _negatives_are_no_links(store: GraphStore, csc: CSC) -> str | None:
    def key(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        if store.undirected:
            return pair_key(src, dst, store.num_nodes)
        return src.astype(np.int64) * store.num_nodes + dst

    links = {part: pairs for part in ("valid", "test") if (pairs := store.links(part)) is not None}
    known = [key(pairs.src, pairs.dst) for pairs in links.values()]
    for part, pairs in links.items():
        if pairs.neg is None or part in store.attrs.get("negatives_given", ()):
            continue
        src = np.repeat(pairs.src, pairs.neg.shape[1])
        neg = pairs.neg.reshape(-1)
        linked = csc.has_edges(src, neg) | np.isin(key(src, neg), np.concatenate(known))
        if linked.any():
            return f"{linked.sum()} {part} negatives are known links"
        if (src == neg).any():
            return f"{(src == neg).sum()} {part} negatives are their own source"
    return None


def _node_parts_are_disjoint(store: GraphStore, csc: CSC) -> str | None:
    parts = [nodes for part in PARTS if (nodes := store.labelled_nodes(part)) is not None]
    nodes = np.concatenate([np.zeros(0, np.int64), *parts])
    repeated = len(nodes) - len(np.unique(nodes))
    return f"{repeated} nodes are in the split more than once" if repeated else None


def _first_hop_is_the_mean(store: GraphStore, csc: CSC) -> str | None:
    if "first_hop" not in store:
        return None
    expected = first_hop(csc, store.read("feat"))
    gap = np.abs(store.read("first_hop") - expected).max(initial=0)
    rounding = ROUNDING + np.finfo(store.array("first_hop").dtype).eps
    near = gap <= rounding * max(1.0, np.abs(expected).max(initial=0))
    return None if near else f"first_hop is off by up to {gap:.2g}"


Check = Callable[[GraphStore, CSC], str | None]

STRUCTURE: dict[str, Check] = {
    "arrays are as long as they say": _lengths_agree,
    "in-edges are sorted and in range": _csc_is_sound,
    "blocks cover the nodes": _blocks_cover,
    "labels, types and splits are in range": _numbers_are_in_range,
}
PROMISES: dict[str, Check] = {
    "ids are distinct": _ids_are_distinct,
    "undirected links stand both ways": _mirrored,
    "held-out links are in no message passing": _no_leak,
    "negatives are no known links": _negatives_are_no_links,
    "a node is in one part of the split": _node_parts_are_disjoint,
    "first hop is the neighbours' mean": _first_hop_is_the_mean,
}
