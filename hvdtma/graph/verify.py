"""`hvdtma verify`: whether a store still holds what was written, and keeps its promises.

Arrays and edges are gone through in pieces; what is held is a few bytes a node, and the held-out
links with their negatives.

Legend: N nodes, E edges, n held-out links, K negatives, Q pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow.compute as pc
import xxhash
from numba import njit
from rich.markup import escape

from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.graph.csc import CSC
from hvdtma.graph.external.keys import mix
from hvdtma.graph.external.memory import Memory
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.raw import PARTS, Pairs
from hvdtma.graph.splits import pair_key
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, row_pieces

ROUNDING = 1e-5
PAIRS_AT_ONCE = 1 << 22  # looked up in one pass over the edges


def verification(
    store: GraphStore, memory_gb: float | None = None
) -> Iterator[tuple[str, str | None]]:
    """Checks one by one: what is checked, and what is wrong (None: nothing).

    Ends early where what follows would read damaged arrays, or outside of them.

    Args:
        memory_gb: GiB that may be held (None: half of what is free).
    """
    damaged = False
    for name in store.array_names:
        wrong = _checksum(store, name)
        damaged |= wrong is not None
        yield f"checksum of {name}", wrong
    if damaged:
        return
    for what, check in STRUCTURE.items():
        wrong = check(store)
        yield what, wrong
        if wrong:
            return
    for what, check in PROMISES.items():
        yield what, check(store)
    yield "first hop is the neighbours' mean", _first_hop_is_the_mean(store, memory_gb)


def print_verification(store: GraphStore, memory_gb: float | None = None) -> None:
    """Print every check; raises UserError at the end if one failed."""
    failed = 0
    for what, wrong in verification(store, memory_gb):
        failed += wrong is not None
        mark = "[green]ok[/]  " if wrong is None else "[red]BAD[/] "
        said = f"{what}: {wrong}" if wrong else what
        console.print(f"{mark} {escape(said)}", soft_wrap=True)  # a path can be copied
    if failed:
        raise UserError(f"{store.path}: {failed} checks failed; build it again")


def _checksum(store: GraphStore, name: str) -> str | None:
    found = xxhash.xxh3_128()
    try:
        for values in array_pieces(store, name):
            found.update(np.ascontiguousarray(values).view(np.uint8).data)
    except UserError as error:
        return str(error).partition(". Find the damage")[0]
    same = found.hexdigest() == store.attrs["checksums"][name]
    return None if same else "differs from what was written"


def _lengths_agree(store: GraphStore) -> str | None:
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


def _csc_is_sound(store: GraphStore) -> str | None:
    indptr = store.read("indptr")
    if indptr[0] != 0 or indptr[-1] != store.num_edges or (indptr[1:] < indptr[:-1]).any():
        return "indptr does not count the edges"
    for read in row_pieces(store):
        rows = read()
        if not len(rows.indices):
            continue
        if not 0 <= rows.indices.min() <= rows.indices.max() < store.num_nodes:
            return "indices point outside the graph"
        descends = np.flatnonzero(np.diff(rows.indices) < 0) + 1
        if not np.isin(descends, rows.indptr).all():
            return "sources do not ascend within a destination"
    return None


def _blocks_cover(store: GraphStore) -> str | None:
    offsets = store.block_offsets
    if not _is_cover(offsets, store.num_nodes):
        return "blocks do not cover the nodes in order"
    parts = store.part_offsets
    if parts is not None and not _is_cover(parts, store.num_blocks):
        return "parts do not cover the blocks in order"
    return None


def _is_cover(offsets: np.ndarray, end: int) -> bool:
    return offsets[0] == 0 and offsets[-1] == end and bool((np.diff(offsets) > 0).all())


def _numbers_are_in_range(store: GraphStore) -> str | None:
    ends = {"label": len(store.label_names), "edge_type": len(store.edge_type_names)}
    for name in store.array_names:
        part, _, kind = name.rpartition("/")
        if kind not in ends and not part.startswith("split/"):
            continue
        least, end = -1 if kind == "label" else 0, ends.get(kind, store.num_nodes)
        for values in array_pieces(store, name):
            if values.size and not least <= values.min() <= values.max() < end:
                return f"{name} holds {values.min()} to {values.max()}, not {least} to {end - 1}"
    return None


def _ids_are_distinct(store: GraphStore) -> str | None:
    ids = store.node_ids()
    if ids.are_strings:
        distinct = pc.count_distinct(ids.values).as_py()
    else:
        values = np.sort(ids.values.to_numpy())
        distinct = int((values[1:] != values[:-1]).sum()) + (len(values) > 0)
    if len(ids) == distinct == store.num_nodes:
        return None
    return f"{distinct} distinct ids in {len(ids)}, for {store.num_nodes} nodes"


def _mirrored(store: GraphStore) -> str | None:
    """By a fingerprint of all edges one way, and of all the other: equal if they are the same."""
    if not store.undirected:
        return None
    difference = 0
    for read in row_pieces(store):
        rows = read()
        there, back = _fingerprints(rows.first, rows.indptr, rows.indices)
        difference += int(there) - int(back)
    return None if difference % 2**64 == 0 else "an undirected link is stored one way only"


@njit(cache=True)
def _fingerprints(
    first: int, indptr: np.ndarray, indices: np.ndarray
) -> tuple[np.uint64, np.uint64]:
    """Sums, that run over, of hashes of edges (source, destination) and (destination, source)."""
    there = back = np.uint64(0)
    for row in range(len(indptr) - 1):
        dst = np.uint64(first + row)
        for edge in range(indptr[row], indptr[row + 1]):
            src = np.uint64(indices[edge])
            there += mix(mix(src) ^ dst)
            back += mix(mix(dst) ^ src)
    return there, back


def linked(store: GraphStore, src_Q: np.ndarray, dst_Q: np.ndarray) -> np.ndarray:
    """Bool [Q]: whether each (src, dst) is an edge of the training graph; one pass over it."""
    found_Q = np.zeros(len(src_Q), bool)
    order_Q = np.argsort(dst_Q, kind="stable")
    ascending_Q = dst_Q[order_Q]
    for read in row_pieces(store):
        rows = read()
        low, high = np.searchsorted(ascending_Q, [rows.first, rows.first + len(rows.indptr) - 1])
        if high > low:
            asked = order_Q[low:high]
            csc = CSC(rows.indptr, rows.indices)
            found_Q[asked] = csc.has_edges(src_Q[asked], dst_Q[asked] - rows.first)
    return found_Q


def _no_leak(store: GraphStore) -> str | None:
    for part in ("valid", "test"):
        pairs = store.links(part)
        if pairs is None:
            continue
        leaks = linked(store, pairs.src, pairs.dst) | linked(store, pairs.dst, pairs.src)
        if leaks.any():
            return f"{leaks.sum()} held-out {part} links are in the training graph"
    return None


def _negatives_are_no_links(store: GraphStore) -> str | None:
    def key(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        if store.undirected:
            return pair_key(src, dst, store.num_nodes)
        return src.astype(np.int64) * store.num_nodes + dst

    links = {part: pairs for part in ("valid", "test") if (pairs := store.links(part)) is not None}
    known = [key(pairs.src, pairs.dst) for pairs in links.values()]
    for part, pairs in links.items():
        if pairs.neg is None or part in store.attrs.get("negatives_given", ()):
            continue
        wrong = own = 0
        for few in _few_at_a_time(pairs):
            assert few.neg is not None
            src, neg = np.repeat(few.src, few.neg.shape[1]), few.neg.reshape(-1)
            is_link = linked(store, src, neg) | np.isin(key(src, neg), np.concatenate(known))
            wrong, own = wrong + int(is_link.sum()), own + int((src == neg).sum())
        if wrong:
            return f"{wrong} {part} negatives are known links"
        if own:
            return f"{own} {part} negatives are their own source"
    return None


def _few_at_a_time(pairs: Pairs) -> Iterator[Pairs]:
    assert pairs.neg is not None
    step = max(PAIRS_AT_ONCE // max(pairs.neg.shape[1], 1), 1)
    for start in range(0, len(pairs), step):
        yield pairs.take(slice(start, start + step))


def _node_parts_are_disjoint(store: GraphStore) -> str | None:
    parts = [nodes for part in PARTS if (nodes := store.labelled_nodes(part)) is not None]
    nodes = np.concatenate([np.zeros(0, np.int64), *parts])
    repeated = len(nodes) - len(np.unique(nodes))
    return f"{repeated} nodes are in the split more than once" if repeated else None


def _first_hop_is_the_mean(store: GraphStore, memory_gb: float | None) -> str | None:
    if "first_hop" not in store:
        return None
    indptr = store.read("indptr")
    room = Memory.limit(memory_gb).left(indptr.nbytes, "verifying the first hop")
    indices, feat = store.reader("indices"), store.reader("feat")
    gap, largest, start = 0.0, 1.0, 0
    for mean_nD in neighbour_means(indptr, indices, feat, memory_bytes=room):
        found = store.read("first_hop", start, start + len(mean_nD))
        start += len(mean_nD)
        gap = float(np.maximum(gap, np.abs(found - mean_nD).max(initial=0)))  # NaN stays
        largest = float(np.maximum(largest, np.abs(mean_nD).max(initial=0)))
    rounding = ROUNDING + np.finfo(store.array("first_hop").dtype).eps
    return None if gap <= rounding * largest else f"first_hop is off by up to {gap:.2g}"


Check = Callable[[GraphStore], str | None]

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
}
