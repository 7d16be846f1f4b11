"""`hvdtma verify`: check a store's checksums, its structure, and its guarantees.

Arrays, edges and negatives are read in pieces. Memory grows by some bytes per node and per held-out
link, which `least_bytes` counts.

Legend: N nodes, E edges, H held-out links, K negatives, Q pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import xxhash
from rich.markup import escape

from hvdtma.core.compiled import njit
from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.csc import CSC
from hvdtma.graph.first_hop import available_for_first_hop, first_hop_bytes
from hvdtma.graph.hashing import mix
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import pair_key
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, row_pieces
from hvdtma.graph.targets import range_problem, row_shape
from hvdtma.graph.write_csc import sums_of_rows
from hvdtma.tables.database import temporary_database

ROUNDING = 1e-5
IDS_AT_ONCE = 1 << 18
LEAST_PAIRS, MAX_PAIRS = 1 << 17, 1 << 22  # pairs that are looked up in one pass over the edges
PAIR_BYTES = 64  # per pair in a look-up
LINK_BYTES = 80  # per held-out link, with its key, while both directions are looked up
TEXT_SHARE = 1.25  # memory for the text of string ids in a growing table, relative to the text
TABLE_BYTES = 26  # per string id in such a table


def verification(
    store: GraphStore, memory_gb: float | None = None
) -> Iterator[tuple[str, str | None]]:
    """Yield the name of each check and the problem it found, or None.

    Ends early if further checks would read damaged arrays, or outside of arrays.

    Args:
        memory_gb: memory limit in GiB (None: half of the free memory).

    Raises UserError, before the first check, if the limit is too small.
    """
    memory = MemoryBudget.limit(memory_gb)
    damaged = any(_metadata(store, name) for name in store.array_names)
    if not damaged:
        memory.available(least_bytes(store), f"verifying {store.num_nodes:,} nodes")
    for name in store.array_names:
        problem = _metadata(store, name) or _checksum(store, name)
        damaged |= problem is not None
        yield f"checksum of {name}", problem
    if damaged:
        return
    for name, check in STRUCTURE.items():
        problem = check(store, memory)
        yield name, problem
        if problem:
            return
    for name, check in GUARANTEES.items():
        yield name, check(store, memory)


def least_bytes(store: GraphStore) -> int:
    """The memory of the check that needs most."""
    num_nodes, links = store.num_nodes, sum(number for number, _ in store.held_out.values())
    text = store.array("node_id/utf8").shape[0] if "node_id/utf8" in store else 0
    itemsize = store.feature_dtype.itemsize
    return max(
        10 * num_nodes,  # indptr or integer ids, and two marks
        int(TABLE_BYTES * num_nodes + TEXT_SHARE * text) if text else 0,
        LINK_BYTES * links
        + (PAIR_BYTES * LEAST_PAIRS + store.candidate_rules.row_bytes * num_nodes) * bool(links),
        first_hop_bytes(num_nodes, itemsize) if "first_hop" in store else 0,
    )


def print_verification(store: GraphStore, memory_gb: float | None = None) -> None:
    """Print every check; raise UserError at the end if one failed."""
    failed = 0
    for name, problem in verification(store, memory_gb):
        failed += problem is not None
        mark = "[green]ok[/]  " if problem is None else "[red]BAD[/] "
        text = f"{name}: {problem}" if problem else name
        console.print(f"{mark} {escape(text)}", soft_wrap=True)  # so that a path can be copied
    if failed:
        raise UserError(f"{store.path}: {failed} checks failed; build it again")


def _metadata(store: GraphStore, name: str) -> str | None:
    try:
        store.array(name)
    except UserError as error:
        return str(error)
    return None


def _checksum(store: GraphStore, name: str) -> str | None:
    found = xxhash.xxh3_128()
    try:
        for values in array_pieces(store, name):
            found.update(np.ascontiguousarray(values).view(np.uint8).data)
    except UserError as error:
        return str(error).partition(". Find the damage")[0]
    same = found.hexdigest() == store.attrs["checksums"][name]
    return None if same else "differs from the checksum at build"


def _lengths_agree(store: GraphStore, memory: MemoryBudget) -> str | None:
    num_nodes, num_edges = store.num_nodes, store.num_edges
    for name, length in (
        ("indptr", num_nodes + 1),
        ("indices", num_edges),
        ("edge_type", num_edges),
        ("weight", num_edges),
        ("in_weight", num_nodes),
        ("feat", num_nodes),
        ("first_hop", num_nodes),
        ("label", num_nodes),
        ("candidates", num_nodes),
    ):
        found = store.array(name).shape[0] if name in store else length
        if found != length:
            return f"{name} has {found} rows, not {length}"
    return _projection_fits(store)


def _projection_fits(store: GraphStore) -> str | None:
    """The lengths of the arrays that make other features the same."""
    sizes = {}
    for name in ("matrix", "idf", "names/values", "names/offsets"):
        if f"projection/{name}" in store:
            shape = store.array(f"projection/{name}").shape
            sizes[name] = shape[0] - name.endswith("offsets")
            if name == "matrix" and shape[1] != store.feature_dim:
                return f"projection/matrix has {shape[1]} columns, not {store.feature_dim}"
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        return f"the arrays of the projection have different lengths: {found}"
    return None


def _csc_is_sound(store: GraphStore, memory: MemoryBudget) -> str | None:
    indptr = store.read("indptr")
    if indptr[0] != 0 or indptr[-1] != store.num_edges or (indptr[1:] < indptr[:-1]).any():
        return "indptr does not add up to the number of edges"
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


def _blocks_cover(store: GraphStore, memory: MemoryBudget) -> str | None:
    offsets = store.block_offsets
    if not _is_cover(offsets, store.num_nodes):
        return "blocks do not cover the nodes in order"
    parts = store.part_offsets
    if parts is not None and not _is_cover(parts, store.num_blocks):
        return "parts do not cover the blocks in order"
    return None


def _is_cover(offsets: np.ndarray, end: int) -> bool:
    return offsets[0] == 0 and offsets[-1] == end and bool((np.diff(offsets) > 0).all())


def _numbers_are_in_range(store: GraphStore, memory: MemoryBudget) -> str | None:
    names = len(store.label_names)
    for labels in array_pieces(store, "label") if "label" in store else ():
        if labels.shape[1:] != row_shape(store.label_kind, names):
            return f"label has rows of shape {list(labels.shape[1:])} for {names} names"
        if problem := range_problem(labels, store.label_kind, names):
            return f"label {problem}"
    ends = {"edge_type": len(store.edge_type_names)}
    for name in store.array_names:
        part, _, kind = name.rpartition("/")
        if kind not in ends and not part.startswith("split/"):
            continue
        end = ends.get(kind, store.num_nodes)
        for values in array_pieces(store, name):
            if values.size and not 0 <= values.min() <= values.max() < end:
                return f"{name} holds {values.min()} to {values.max()}, not 0 to {end - 1}"
    return None


def _ids_are_distinct(store: GraphStore, memory: MemoryBudget) -> str | None:
    if "node_id/values" in store:
        values = store.read("node_id/values")
        values.sort()
        num, distinct = len(values), int((values[1:] != values[:-1]).sum()) + (len(values) > 0)
    else:
        num = store.array("node_id/offsets").shape[0] - 1
        distinct = _num_distinct(store, num, memory)
    if num == distinct == store.num_nodes:
        return None
    return f"{distinct} distinct ids in {num}, for {store.num_nodes} nodes"


def _num_distinct(store: GraphStore, num: int, memory: MemoryBudget) -> int:
    """The number of different string ids, which need not fit in memory."""
    schema = pa.schema([("id", pa.large_string())])
    starts = range(0, num, IDS_AT_ONCE)
    pieces = (store.node_ids(start, min(start + IDS_AT_ONCE, num)).values for start in starts)
    batches = (pa.RecordBatch.from_arrays([piece], schema=schema) for piece in pieces)
    with temporary_database(memory.available(0, "comparing ids")) as db:
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        ((distinct,),) = db.run("SELECT count(DISTINCT id) FROM given", {"given": reader})
    return int(distinct)


def _mirrored(store: GraphStore, memory: MemoryBudget) -> str | None:
    """Compare a fingerprint of all edges with one of all reversed edges."""
    if not store.undirected:
        return None
    difference = first = 0
    for read in row_pieces(store):
        rows = read()
        bits = np.zeros(0, np.int32)
        if store.weighted:
            bits = store.read("weight", first, first + len(rows.indices)).view(np.int32)
        first += len(rows.indices)
        there, back = _fingerprints(rows.first, rows.indptr, rows.indices, bits)
        difference += int(there) - int(back)
    if difference % 2**64 == 0:
        return None
    weight = " or has two weights" if store.weighted else ""
    return f"an undirected link is stored in one direction only{weight}"


@njit()
def _fingerprints(
    first: int, indptr: np.ndarray, indices: np.ndarray, bits: np.ndarray
) -> tuple[np.uint64, np.uint64]:
    """Sums modulo 2^64 of the hashes of (source, destination) and of (destination, source).

    Args:
        bits: of the weights int32, which are hashed too; empty without weights.
    """
    there = back = np.uint64(0)
    weight, weighted = np.uint64(0), len(bits) > 0
    for row in range(len(indptr) - 1):
        dst = np.uint64(first + row)
        for edge in range(indptr[row], indptr[row + 1]):
            src = np.uint64(indices[edge])
            if weighted:
                weight = mix(np.uint64(bits[edge]))
            there += mix(mix(src) ^ dst ^ weight)
            back += mix(mix(dst) ^ src ^ weight)
    return there, back


def linked(store: GraphStore, src_Q: np.ndarray, dst_Q: np.ndarray) -> np.ndarray:
    """Bool [Q]: whether each (src, dst) is an edge of the training graph; in one pass over it."""
    found_Q = np.zeros(len(src_Q), bool)
    order_Q = np.argsort(dst_Q, kind="stable")
    ascending_Q = dst_Q[order_Q]
    for read in row_pieces(store):
        rows = read()
        low, high = np.searchsorted(ascending_Q, [rows.first, rows.first + len(rows.indptr) - 1])
        if high > low:
            here = order_Q[low:high]
            csc = CSC(rows.indptr, rows.indices)
            found_Q[here] = csc.has_edges(src_Q[here], dst_Q[here] - rows.first)
    return found_Q


def _links(store: GraphStore) -> Iterator[tuple[str, Pairs]]:
    """The held-out links of both parts, without negatives."""
    for part in store.held_out:
        src, dst = (store.read(f"split/{part}/{end}") for end in ("src", "dst"))
        yield part, Pairs(src, dst)


def _no_leak(store: GraphStore, memory: MemoryBudget) -> str | None:
    for part, pairs in _links(store):
        leaks = linked(store, pairs.src, pairs.dst) | linked(store, pairs.dst, pairs.src)
        if leaks.any():
            return f"{leaks.sum()} held-out {part} links are in the training graph"
    return None


def _negatives_are_no_links(store: GraphStore, memory: MemoryBudget) -> str | None:
    links = dict(_links(store))
    keys = [_keys(store, pairs.src, pairs.dst) for pairs in links.values()]
    known = np.unique(np.concatenate([np.zeros(0, np.int64), *keys]))
    link_bytes = LINK_BYTES * sum(map(len, links.values()))
    available = memory.available(link_bytes, "verifying negatives")
    num_pairs = min(max(available // PAIR_BYTES, LEAST_PAIRS), MAX_PAIRS)
    for part, pairs in links.items():
        if not store.held_out[part][1] or part in store.attrs.get("negatives_given", ()):
            continue
        num_links = num_loops = 0
        for src, neg in _negatives(store, part, pairs, num_pairs):
            is_link = linked(store, src, neg) | _among(known, _keys(store, src, neg))
            num_links, num_loops = (
                num_links + int(is_link.sum()),
                num_loops + int((src == neg).sum()),
            )
        if num_links:
            return f"{num_links} {part} negatives are known links"
        if num_loops:
            return f"{num_loops} {part} negatives are their own source"
    return None


def _negatives_are_candidates(store: GraphStore, memory: MemoryBudget) -> str | None:
    if "candidates" not in store:
        return None
    candidates = store.candidates()
    for part, pairs in _links(store):
        if not store.held_out[part][1] or part in store.attrs.get("negatives_given", ()):
            continue
        types = f"split/{part}/edge_type"
        set_n = candidates.sets_for(pairs.dst, store.read(types) if types in store else None)
        others, start = 0, 0
        for src, neg in _negatives(store, part, pairs, LEAST_PAIRS):
            rows = slice(start, start := start + len(src) // store.held_out[part][1])
            set_Q = np.repeat(set_n[rows], store.held_out[part][1])
            others += int((~candidates.contain(set_Q, neg)).sum())
        if others:
            return f"{others} {part} negatives are of another kind than the end they replace"
    return None


def _keys(store: GraphStore, src_Q: np.ndarray, dst_Q: np.ndarray) -> np.ndarray:
    """One int64 per pair; the same for both directions of an undirected graph."""
    if store.undirected:
        return pair_key(src_Q, dst_Q, store.num_nodes)
    return src_Q.astype(np.int64) * store.num_nodes + dst_Q


def _among(ascending: np.ndarray, key_Q: np.ndarray) -> np.ndarray:
    """Bool [Q]: whether each key is in an ascending array."""
    at_Q = np.searchsorted(ascending, key_Q)
    at_Q[at_Q == len(ascending)] = 0
    return ascending[at_Q] == key_Q


def _negatives(
    store: GraphStore, part: str, pairs: Pairs, num_pairs: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The sources and negatives [Q] of a part, about `num_pairs` at a time."""
    each = store.held_out[part][1]
    step = max(num_pairs // each, 1)
    for start in range(0, len(pairs), step):
        neg = store.read(f"split/{part}/neg", start, start + step)
        yield np.repeat(pairs.src[start : start + step], each), neg.reshape(-1)


def _node_parts_are_disjoint(store: GraphStore, memory: MemoryBudget) -> str | None:
    seen_N, num = np.zeros(store.num_nodes, bool), 0
    for name in (f"split/{part}/node" for part in PARTS):
        for nodes in array_pieces(store, name) if name in store else ():
            seen_N[nodes] = True
            num += len(nodes)
    repeated = num - int(seen_N.sum())
    return f"{repeated} nodes are in the split more than once" if repeated else None


def _first_hop_is_the_mean(store: GraphStore, memory: MemoryBudget) -> str | None:
    if "first_hop" not in store:
        return None
    memory_bytes = available_for_first_hop(store.num_nodes, store.feature_dtype.itemsize, memory)
    indptr, indices, feat = store.read("indptr"), store.reader("indices"), store.reader("feat")
    gap, largest, start = 0.0, 1.0, 0
    weights = store.reader("weight") if store.weighted else None
    means = neighbour_means(indptr, indices, feat, memory_bytes=memory_bytes, weights=weights)
    for mean_nD in means:
        found = store.read("first_hop", start, start + len(mean_nD))
        start += len(mean_nD)
        gap = float(np.maximum(gap, np.abs(found - mean_nD).max(initial=0)))  # NaN stays
        largest = float(np.maximum(largest, np.abs(mean_nD).max(initial=0)))
    rounding = ROUNDING + np.finfo(store.array("first_hop").dtype).eps
    return None if gap <= rounding * largest else f"first_hop is off by up to {gap:.2g}"


def _weights_are_positive(store: GraphStore, memory: MemoryBudget) -> str | None:
    """Weights are positive and finite, and add up to those of the nodes."""
    if not store.weighted:
        return None
    for weight in array_pieces(store, "weight"):
        if not (np.isfinite(weight) & (weight > 0)).all():
            return "a weight is not above 0 and finite"
    first = 0
    for read in row_pieces(store):
        rows = read()
        weight = store.read("weight", first, first + len(rows.indices))
        first += len(rows.indices)
        total = sums_of_rows(np.diff(rows.indptr), weight)
        found = store.read("in_weight", rows.first, rows.first + len(total))
        if not np.allclose(found, total, rtol=1e-9, atol=0):
            return "in_weight is not the sum of the weights of each node's in-edges"
    return None


Check = Callable[[GraphStore, MemoryBudget], str | None]

STRUCTURE: dict[str, Check] = {
    "arrays have the right lengths": _lengths_agree,
    "in-edges are sorted and in range": _csc_is_sound,
    "blocks cover the nodes": _blocks_cover,
    "labels, types and splits are in range": _numbers_are_in_range,
    "weights are positive and finite": _weights_are_positive,
}
GUARANTEES: dict[str, Check] = {
    "ids are distinct": _ids_are_distinct,
    "undirected links are stored in both directions": _mirrored,
    "held-out links are not in the training graph": _no_leak,
    "negatives are not known links": _negatives_are_no_links,
    "negatives are of the replaced end's kind": _negatives_are_candidates,
    "no node is in two parts of the split": _node_parts_are_disjoint,
    "first hop is the mean of the neighbours": _first_hop_is_the_mean,
}
