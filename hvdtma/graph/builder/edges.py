"""The training graph, the held-out links and their negatives, written into a store.

Legend: N nodes, E edges as given, H held-out pairs, K negatives per link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.sizes import BuildSizes, most_pairs, room_for_keys
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.raw import Pairs, Source
from hvdtma.graph.sort.edge_sorter import EdgeSorter, HeldOut
from hvdtma.graph.sort.keys import SortedRows
from hvdtma.graph.splits import LinkPicker, draw_negatives
from hvdtma.graph.write_csc import write_csc
from hvdtma.storage.writer import StoreWriter

PARTS = ("valid", "test")


def write_edges(
    writer: StoreWriter,
    source: Source,
    order_N: np.ndarray,
    options: BuildOptions,
    memory: MemoryBudget,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Write the CSC and the held-out links of a source; what was dropped, and how often."""
    rank_N = np.empty_like(order_N)
    rank_N[order_N] = np.arange(len(order_N), dtype=order_N.dtype)
    room = BuildSizes.of(source, options).room_to_sort(memory)
    sorter = EdgeSorter(
        source.num_nodes,
        source.num_edges * (1 + source.undirected),
        writer.scratch,
        room_for_keys(room),
        num_types=len(source.edge_type_names),
        mirror=source.undirected,
        rank_N=rank_N,
        merge_types=source.undirected,
    )
    picker = None
    if options.hold_out == "links" and source.link_split is None:
        seed = int(rng.integers(2**63))
        picker = LinkPicker(options.valid, options.test, seed, most_pairs(room))
    with progress("scattering edges", source.num_edges, "edges") as advance:
        if picker is None:
            sorter.scatter(source.edge_pieces(), tell=advance)
        else:
            sorter.scatter(source.edge_pieces(), look=picker.look, tell=advance)
    links = _LinkSink.given(source, rank_N)
    if picker is not None:
        links = _LinkSink.picked(*picker.pairs(), rank_N)
    with progress("sorting edges", int(sorter.buckets.counts.sum()), "edges") as advance:
        found = _write_csc(writer, sorter, links.held_out(source), advance)
    if not found.num_edges:
        raise UserError(
            "the given train split is empty, or every pair of it is held out"
            if picker is None
            else "valid and test would take every link and leave none to train on"
        )
    with stage("negatives"):
        _write_links(writer, source, links, found, options, rng)
    times = 1 + source.undirected  # each was counted in both directions
    dropped = len(found.held_pair) // times if source.link_split is not None else 0
    return {
        "self_loops": sorter.self_loops,
        "duplicate_edges": sorter.duplicates // times,
        "edges_dropped_as_held_out": dropped,
        **source.counts,
    }


@dataclass
class _LinkSink:
    """Held-out links in the store's numbering; `part_H` is 0 for valid, 1 for test."""

    pairs: Pairs
    part_H: np.ndarray
    given_pairs: dict[str, Pairs] = field(default_factory=dict)

    @classmethod
    def picked(cls, pairs: Pairs, part_H: np.ndarray, rank_N: np.ndarray) -> _LinkSink:
        return cls(renumbered(pairs, rank_N), part_H)

    @classmethod
    def given(cls, source: Source, rank_N: np.ndarray) -> _LinkSink:
        """The source's own split; none if it has none."""
        split = source.link_split or {}
        given = {part: renumbered(split[part], rank_N) for part in PARTS if part in split}
        for part, pairs in given.items():
            if not len(pairs):
                raise UserError(f"the given {part} split is empty")
        none = np.zeros(0, np.int64)
        src = np.concatenate([none, *(pairs.src for pairs in given.values())])
        dst = np.concatenate([none, *(pairs.dst for pairs in given.values())])
        return cls(Pairs(src, dst), np.zeros(len(src), np.int64), given)

    def held_out(self, source: Source) -> HeldOut:
        """What the sorter is to take out, and whose edges the negatives need."""
        marked_N = np.zeros(source.num_nodes if len(self.pairs) else 0, bool)
        marked_N[self.pairs.src] = True
        if not source.undirected and not self.given_pairs:
            marked_N[self.pairs.dst] = True  # a pair may be linked the other way, or both
        return HeldOut(self.pairs.src, self.pairs.dst, marked_N)


@dataclass
class _Found:
    """What the sorter found; see `SortedRows`, with destinations in the store's numbering."""

    num_edges: int
    held_pair: np.ndarray
    held_type: np.ndarray
    held: Pairs
    known: Pairs


def _write_csc(
    writer: StoreWriter, sorter: EdgeSorter, held_out: HeldOut, advance: Callable[[int], None]
) -> _Found:
    taken: list[tuple[np.ndarray, ...]] = []
    num_edges = write_csc(
        writer, sorter, advance, held_out, look=lambda *found: taken.append(_taken(*found))
    )
    pair, src, dst, kind, known_src, known_dst = (
        np.concatenate(c) for c in zip(*taken, strict=True)
    )
    kind = kind.astype(np.int16)
    held, known = Pairs(src, dst, edge_type=kind), Pairs(known_src, known_dst)
    return _Found(num_edges, pair, kind, held, known)


def _taken(first: int, rows: SortedRows) -> tuple[np.ndarray, ...]:
    held_dst, known_dst = rows.held_dst + first, rows.known_dst + first
    return rows.held_pair, rows.held_src, held_dst, rows.held_type, rows.known_src, known_dst


def _write_links(
    writer: StoreWriter,
    source: Source,
    links: _LinkSink,
    found: _Found,
    options: BuildOptions,
    rng: np.random.Generator,
) -> None:
    """Write the held-out links by part, with negatives for those that came without."""
    known = Pairs(np.r_[found.known.src, links.pairs.src], np.r_[found.known.dst, links.pairs.dst])
    if source.undirected:
        known = Pairs(np.r_[known.src, links.pairs.dst], np.r_[known.dst, links.pairs.src])
    parts = links.given_pairs or _held_by_part(links, found, source)
    dtype = index_dtype(source.num_nodes)
    for part, pairs in parts.items():
        for name, values in vars(pairs).items():
            if values is not None:
                writer.put(
                    f"split/{part}/{name}", values.astype(dtype) if name == "neg" else values
                )
        if pairs.neg is not None:
            continue
        shape = (len(pairs), (options.negatives,))
        with writer.growing(f"split/{part}/neg", dtype, *shape) as neg:
            for drawn in draw_negatives(
                pairs.src, known, source.num_nodes, options.negatives, rng=rng
            ):
                neg.append(drawn)


def _held_by_part(links: _LinkSink, found: _Found, source: Source) -> dict[str, Pairs]:
    """The edges of the picked pairs, in the order they were picked."""
    pair, held = found.held_pair, found.held
    order = np.lexsort((found.held_type, held.src, pair))
    if source.undirected:  # both directions are there; one was picked
        order = order[held.src[order] == links.pairs.src[pair[order]]]
    part = links.part_H[pair[order]]
    typed = bool(source.edge_type_names)
    found_parts = {}
    for number, name in enumerate(PARTS):
        chosen = held.take(order[part == number])
        if len(chosen):
            kind = chosen.edge_type if typed else None
            found_parts[name] = Pairs(chosen.src, chosen.dst, edge_type=kind)
    return found_parts


def renumbered(pairs: Pairs, rank_N: np.ndarray) -> Pairs:
    """The same pairs, where node v is called rank[v]; as they are where rank is empty."""
    if not len(rank_N):
        return pairs
    src, dst = (rank_N[ends].astype(np.int64) for ends in (pairs.src, pairs.dst))
    neg = None if pairs.neg is None else rank_N[pairs.neg]
    return Pairs(src, dst, neg, pairs.edge_type)
