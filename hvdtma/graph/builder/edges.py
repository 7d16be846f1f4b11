"""Write the training graph, the held-out links and their negatives.

Legend: N nodes, E edges as given, H held-out pairs, K negatives per link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.split_parts import HELD_OUT_PARTS
from hvdtma.graph.builder.budget import BuildSizes, bytes_for_keys, max_pairs
from hvdtma.graph.builder.check import checked_batches
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.rankable import full_sources, rankable_given, rankable_picks
from hvdtma.graph.builder.sides import SideRecorder
from hvdtma.graph.builder.times import TimeRange, forward_messages, latest_links
from hvdtma.graph.builder.typed_links import picked_from, scored_types, sides_of
from hvdtma.graph.candidates import Candidates
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.message_order import ForwardMessages
from hvdtma.graph.negatives import draw_negatives
from hvdtma.graph.sort.edge_sorter import EdgeSorter, HeldOut
from hvdtma.graph.sort.keys import SortedRows
from hvdtma.graph.source import Pairs, Source, is_timed, is_weighted
from hvdtma.graph.splits import LinkPicker
from hvdtma.graph.time_split import LinksByTime
from hvdtma.graph.write_csc import write_csc
from hvdtma.storage.writer import StoreWriter


def write_edges(
    writer: StoreWriter,
    source: Source,
    order_N: np.ndarray,
    options: BuildOptions,
    memory: MemoryBudget,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Write the CSC and the held-out links of a source; return counts of dropped edges."""
    rank_N = np.empty_like(order_N)
    rank_N[order_N] = np.arange(len(order_N), dtype=order_N.dtype)
    available = BuildSizes.of(source, options).available_to_sort(memory)
    draws = options.hold_out == "links" and source.link_split is None
    seed = int(rng.integers(2**63)) if draws else 0
    folder, times = writer.scratch_folder(), TimeRange()
    forward = forward_messages(source, options)
    by_time = latest_links(source, options, folder / "times", available, seed)
    sorter = EdgeSorter(
        source.num_nodes,
        source.num_edges * (1 + source.undirected),
        folder,
        bytes_for_keys(available),
        num_types=len(source.edge_type_names),
        mirror=source.undirected and forward is None,
        rank_N=rank_N,
        merge_types=source.undirected,
        value="weight" if is_weighted(source) else None,
    )
    sides = sides_of(source, options)
    scored = scored_types(source, options)
    picker = None
    if draws and by_time is None:
        picker = LinkPicker(options.valid, options.test, seed, max_pairs(available))
    with progress("scattering edges", source.num_edges, "edges") as advance:
        batches = checked_batches(source)
        if sides is not None:
            batches = sides.recorded(batches)
        for step in (times if is_timed(source) else None, by_time, forward):
            batches = batches if step is None else step.kept(batches)
        if picker is None:
            sorter.scatter(batches, advance=advance)
        elif scored is not None:
            sorter.scatter(picked_from(batches, picker, scored), advance=advance)
        else:
            sorter.scatter(batches, on_batch=picker.add, advance=advance)
    links = _Links.of(source, picker or by_time, rank_N)
    candidates = _candidates(writer, source, sides, order_N)
    moved: dict[str, int] = {}
    if sides is not None:
        links, moved = links.rankable(sorter, sides, candidates, order_N, source.undirected, scored)
    with progress("sorting edges", int(sorter.buckets.counts.sum()), "edges") as advance:
        found = _write_csc(writer, sorter, links.held_out(source), advance)
    if not found.num_edges:
        raise UserError(_nothing_left(source, forward))
    with stage("negatives"):
        _write_links(writer, source, links, found, candidates, options, rng)
    time_range = by_time.cuts.as_attribute("edges") if by_time else times.as_attribute()
    if time_range:
        writer.attrs["times"] = time_range
    return _counts(source, sorter, found, by_time, forward) | moved


def _counts(
    source: Source,
    sorter: EdgeSorter,
    found: _Found,
    by_time: LinksByTime | None,
    forward: ForwardMessages | None,
) -> dict[str, int]:
    """The edges that were dropped or merged, by reason."""
    directions = 1 + sorter.mirror  # these were counted in both directions
    given = source.link_split is not None
    merged = "duplicate_messages" if forward and source.undirected else "duplicate_edges"
    added = "_with_weights_added" if sorter.value else ""
    return {
        "self_loops": sorter.self_loops,
        merged + added: sorter.duplicates // directions,
        "edges_dropped_as_held_out": len(found.held_out_pair) // directions if given else 0,
        "later_edges_of_earlier_links_dropped": by_time.num_dropped if by_time else 0,
        "held_out_links_added_for_equal_times": by_time.cuts.num_tied if by_time else 0,
        "messages_from_the_future_dropped": forward.num_dropped if forward else 0,
        **source.counts,
    }


def _nothing_left(source: Source, forward: ForwardMessages | None) -> str:
    if source.link_split is not None:
        return "the given train split is empty, or all of its pairs are held out"
    if forward is not None and forward.num_dropped:
        return "no edge goes from an earlier node to a later one: no message is left"
    return "valid and test would take all links and leave none to train on"


@dataclass
class _Links:
    """The held-out links in the store's numbers.

    Attributes:
        part_H: 0 for valid, 1 for test.
        known: further edges that no negative may be.
        by_time: whether they were chosen by time; then none may stay in training.
    """

    pairs: Pairs
    part_H: np.ndarray
    given_pairs: dict[str, Pairs] = field(default_factory=dict)
    known: Pairs = field(default_factory=lambda: Pairs(*np.zeros((2, 0), np.int64)))
    by_time: bool = False

    @classmethod
    def of(
        cls, source: Source, chosen: LinkPicker | LinksByTime | None, rank_N: np.ndarray
    ) -> _Links:
        """The links that were chosen at random or by time, or else the given ones."""
        if isinstance(chosen, LinkPicker):
            return cls.picked(chosen, rank_N)
        if chosen is None:
            return cls.given(source, rank_N)
        known = renumbered(chosen.dropped_edges(), rank_N)
        return cls(renumbered(chosen.pairs, rank_N), chosen.part_H, known=known, by_time=True)

    @classmethod
    def picked(cls, picker: LinkPicker, rank_N: np.ndarray) -> _Links:
        """The links that a picker chose."""
        pairs, part_H = picker.pairs()
        return cls(renumbered(pairs, rank_N), part_H)

    @classmethod
    def given(cls, source: Source, rank_N: np.ndarray) -> _Links:
        """The links of the source's own split; empty without a split."""
        split = source.link_split or {}
        given = {part: renumbered(split[part], rank_N) for part in HELD_OUT_PARTS if part in split}
        for part, pairs in given.items():
            if not len(pairs):
                raise UserError(f"the given {part} split is empty")
        return cls._of_given(given)

    @classmethod
    def _of_given(cls, given: dict[str, Pairs]) -> _Links:
        none = np.zeros(0, np.int64)
        src = np.concatenate([none, *(pairs.src for pairs in given.values())])
        dst = np.concatenate([none, *(pairs.dst for pairs in given.values())])
        return cls(Pairs(src, dst), np.zeros(len(src), np.int64), given)

    def rankable(
        self,
        sorter: EdgeSorter,
        sides: SideRecorder,
        candidates: Candidates,
        order_N: np.ndarray,
        undirected: bool,
        types: Sequence[int] | None,
    ) -> tuple[_Links, dict[str, int]]:
        """The links that have negatives, and counts; see `hvdtma.graph.builder.rankable`."""
        beside = self.pairs if self.given_pairs else self.known
        full = full_sources(self.pairs, sorter, sides, candidates, order_N, beside)
        if self.given_pairs:
            split, counts = rankable_given(self.given_pairs, full, undirected)
            return _Links._of_given(split), counts
        pairs, part_H, counts = rankable_picks(
            self.pairs, self.part_H, full, undirected, stay=not self.by_time, types=types
        )
        return replace(self, pairs=pairs, part_H=part_H), counts

    def held_out(self, source: Source) -> HeldOut:
        """The pairs to remove, and the nodes whose edges the negatives must avoid."""
        marked_N = np.zeros(source.num_nodes if len(self.pairs) else 0, bool)
        marked_N[self.pairs.src] = True
        if not source.undirected and not self.given_pairs:
            marked_N[self.pairs.dst] = True  # a pair may be linked in the other direction
        return HeldOut(self.pairs.src, self.pairs.dst, marked_N)


@dataclass
class _Found:
    """The edges that the sorter removed or listed; see `SortedRows`. Ends are store numbers."""

    num_edges: int
    held_out_pair: np.ndarray
    held_out_type: np.ndarray
    held_out: Pairs
    known: Pairs


def _write_csc(
    writer: StoreWriter, sorter: EdgeSorter, held_out: HeldOut, advance: Callable[[int], None]
) -> _Found:
    found: list[tuple[np.ndarray, ...]] = []

    def collect(first: int, rows: SortedRows) -> None:
        held_out_ends = rows.held_out_src, rows.held_out_dst + first
        known_ends = rows.known_src, rows.known_dst + first
        found.append((rows.held_out_pair, *held_out_ends, rows.held_out_type, *known_ends))

    num_edges = write_csc(writer, sorter, advance, held_out, on_rows=collect)
    pair, src, dst, types, known_src, known_dst = map(np.concatenate, zip(*found, strict=True))
    types = types.astype(np.int16)
    removed, known = Pairs(src, dst, edge_type=types), Pairs(known_src, known_dst)
    return _Found(num_edges, pair, types, removed, known)


def _write_links(
    writer: StoreWriter,
    source: Source,
    links: _Links,
    found: _Found,
    candidates: Candidates,
    options: BuildOptions,
    rng: np.random.Generator,
) -> None:
    """Write the held-out links by part, and draw negatives for parts without any."""
    known, given = found.known, links.pairs
    every = [known, links.known]
    if links.given_pairs:  # picked pairs are among the edges, in the direction that they have there
        every += [given, Pairs(given.dst, given.src)] if source.undirected else [given]
    known = Pairs(*(np.concatenate([getattr(p, end) for p in every]) for end in ("src", "dst")))
    scored = scored_types(source, options)
    parts = links.given_pairs or _by_part(links, found, source, scored)
    dtype = index_dtype(source.num_nodes)
    if scored is not None:
        writer.attrs["held_out_types"] = {
            part: np.bincount(pairs.edge_type, minlength=len(source.edge_type_names)).tolist()
            for part, pairs in parts.items()
            if pairs.edge_type is not None
        }
    for part, pairs in parts.items():
        for name, values in vars(pairs).items():
            if values is not None:
                writer.put(
                    f"split/{part}/{name}", values.astype(dtype) if name == "neg" else values
                )
        if pairs.neg is not None:
            continue
        shape = (len(pairs), (options.negatives,))
        set_n = candidates.sets_for(pairs.dst, pairs.edge_type)
        with writer.create_array(f"split/{part}/neg", dtype, *shape) as neg:
            for drawn in draw_negatives(
                pairs.src, set_n, known, candidates, options.negatives, rng=rng
            ):
                neg.append(drawn)


def _candidates(
    writer: StoreWriter, source: Source, sides: SideRecorder | None, order_N: np.ndarray
) -> Candidates:
    """The candidates of negatives, which are written unless they are all nodes."""
    if sides is None:
        return Candidates.all_nodes(source.num_nodes)
    for part in HELD_OUT_PARTS:
        pairs = (source.link_split or {}).get(part)
        if pairs is not None:
            sides.add(pairs.src, pairs.dst, pairs.edge_type)
    candidates = sides.candidates(order_N)
    if candidates.rules.sizes:
        writer.put("candidates", candidates.member_NR)
    writer.attrs["candidates"] = candidates.rules.as_attrs()
    return candidates


def _by_part(
    links: _Links, found: _Found, source: Source, scored: Sequence[int] | None
) -> dict[str, Pairs]:
    """The edges of the picked pairs by part, in the order of the pairs.

    Args:
        scored: the types of the edges to score; None: all. Others are only left out of training.
    """
    pair, edges = found.held_out_pair, found.held_out
    order = np.lexsort((found.held_out_type, edges.src, pair))
    if scored is not None:
        order = order[np.isin(found.held_out_type[order], scored)]
    if source.undirected:  # of both directions, the one that was picked
        order = order[edges.src[order] == links.pairs.src[pair[order]]]
    part = links.part_H[pair[order]]
    typed = bool(source.edge_type_names)
    by_part = {}
    for number, name in enumerate(HELD_OUT_PARTS):
        chosen = edges.take(order[part == number])
        if len(chosen):
            kind = chosen.edge_type if typed else None
            by_part[name] = Pairs(chosen.src, chosen.dst, edge_type=kind)
    return by_part


def renumbered(pairs: Pairs, rank_N: np.ndarray) -> Pairs:
    """The pairs with node v renumbered to rank_N[v]; unchanged for an empty rank_N."""
    if not len(rank_N):
        return pairs
    src, dst = (rank_N[ends].astype(np.int64) for ends in (pairs.src, pairs.dst))
    neg = None if pairs.neg is None else rank_N[pairs.neg]
    return Pairs(src, dst, neg, pairs.edge_type)
