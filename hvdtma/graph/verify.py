"""`hvdtma verify`: does a store still hold what was written, and does it keep its promises?

Legend: N nodes, E edges, n held-out links, K negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.graph.csc import CSC
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.splits import pair_key
from hvdtma.graph.store import GraphStore, digest

ROUNDING = 1e-5


def verification(store: GraphStore) -> Iterator[tuple[str, str | None]]:
    """Checks one by one: what is checked, and what is wrong (None: nothing)."""
    for name in store.array_names:
        yield f"checksum of {name}", _checksum(store, name)
    csc = store.rows(0, store.num_nodes)
    for what, check in CHECKS.items():
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
        if wrong and what.startswith("checksum of ind"):
            raise UserError(f"{store.path} is damaged: {what}; build it again")
    if failed:
        raise UserError(f"{store.path}: {failed} checks failed; build it again")


def _checksum(store: GraphStore, name: str) -> str | None:
    try:
        found = digest(store.read(name))
    except UserError as error:
        return str(error)
    return None if found == store.attrs["checksums"][name] else "differs from what was written"


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
    covered = offsets[0] == 0 and offsets[-1] == store.num_nodes and (np.diff(offsets) > 0).all()
    return None if covered else "blocks do not cover the nodes in order"


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
    parts = [pairs for part in ("valid", "test") if (pairs := store.links(part)) is not None]
    held_out = [pair_key(pairs.src, pairs.dst, store.num_nodes) for pairs in parts]
    known = np.sort(np.concatenate(held_out)) if held_out else np.zeros(0, np.int64)
    for pairs in parts:
        if pairs.neg is None or store.attrs.get("negatives_given"):
            continue
        src = np.repeat(pairs.src, pairs.neg.shape[1])
        neg = pairs.neg.reshape(-1)
        linked = csc.has_edges(src, neg)
        if store.undirected:
            linked |= np.isin(pair_key(src, neg, store.num_nodes), known)
        if linked.any():
            return f"{linked.sum()} negatives are known links"
    return None


def _first_hop_is_the_mean(store: GraphStore, csc: CSC) -> str | None:
    if "first_hop" not in store:
        return None
    expected = first_hop(csc, store.read("feat"))
    gap = np.abs(store.read("first_hop") - expected).max(initial=0)
    return (
        None
        if gap <= ROUNDING * max(1.0, np.abs(expected).max(initial=0))
        else (f"first_hop is off by up to {gap:.2g}")
    )


CHECKS: dict[str, Callable[[GraphStore, CSC], str | None]] = {
    "in-edges are sorted and in range": _csc_is_sound,
    "blocks cover the nodes": _blocks_cover,
    "undirected links stand both ways": _mirrored,
    "held-out links are in no message passing": _no_leak,
    "negatives are no known links": _negatives_are_no_links,
    "first hop is the neighbours' mean": _first_hop_is_the_mean,
}
