"""Sorting outside of memory gives what sorting in memory gives."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, MemoryBudget
from hvdtma.core.threads import map_in_order
from hvdtma.graph.csc import build_csc
from hvdtma.graph.sort.buckets import Buckets
from hvdtma.graph.sort.edge_sorter import EdgeSorter, HeldOut
from hvdtma.graph.sort.keys import KeyLayout
from hvdtma.graph.sort.shuffle import shuffled_rows

EDGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 2)), max_size=60)


def sorted_rows(edges, folder, memory_bytes, held_out=None, **options):
    """Everything a sorter says of edges (src, dst, type), with global destinations."""
    src, dst, kind = np.array(edges, np.int64).reshape(-1, 3).T
    mirror = 1 + options.get("mirror", False)
    sorter = EdgeSorter(21, len(src) * mirror, folder, memory_bytes, num_types=3, **options)

    def piece(rows):
        return lambda: (src[rows], dst[rows], kind[rows].astype(np.int16))

    sorter.scatter(piece(rows) for rows in np.array_split(np.arange(len(src)), 4))
    parts = list(sorter.rows(held_out))
    degree = np.concatenate([rows.degree for _, rows in parts])
    ends = np.repeat(np.arange(21), degree)
    indices = np.concatenate([rows.indices for _, rows in parts])
    types = np.concatenate([rows.types for _, rows in parts])
    kept = list(zip(indices.tolist(), ends.tolist(), types.tolist(), strict=True))
    held = [
        (int(pair), int(u), first + int(v), int(t))
        for first, rows in parts
        for pair, u, v, t in zip(
            rows.held_out_pair,
            rows.held_out_src,
            rows.held_out_dst,
            rows.held_out_type,
            strict=True,
        )
    ]
    known = [
        (int(u), first + int(v))
        for first, rows in parts
        for u, v in zip(rows.known_src, rows.known_dst, strict=True)
    ]
    return kept, held, known, sorter


@settings(max_examples=80, deadline=None)
@given(EDGES, st.sampled_from([0, 500, 10**9]), st.booleans(), st.booleans(), st.randoms())
def test_edges_come_out_as_rows_without_loops_and_repeats(
    tmp_path_factory, edges, memory_bytes, mirror, merge_types, random
):
    rank = np.array(random.sample(range(21), 21), np.int32)
    folder = tmp_path_factory.mktemp("sorting")
    kept, _, _, sorter = sorted_rows(
        edges, folder, memory_bytes, mirror=mirror, merge_types=merge_types, rank_N=rank
    )
    expected = {(int(rank[u]), int(rank[v]), t) for u, v, t in edges if u != v}
    if mirror:
        expected |= {(v, u, t) for u, v, t in expected}
    if merge_types:
        lowest = {}
        for u, v, t in sorted(expected, reverse=True):
            lowest[u, v] = t
        expected = {(u, v, t) for (u, v), t in lowest.items()}
    assert kept == sorted(expected, key=lambda edge: (edge[1], edge[0], edge[2]))
    assert sorter.self_loops == sum(u == v for u, v, _ in edges)
    assert sorter.duplicates == (len(edges) - sorter.self_loops) * (1 + mirror) - len(expected)
    assert not any(folder.iterdir())  # what was spilled is gone


@settings(max_examples=60, deadline=None)
@given(EDGES, st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=5))
def test_held_out_pairs_are_taken_out_in_both_directions(tmp_path_factory, edges, pairs):
    src, dst = np.array(pairs, np.int64).reshape(-1, 2).T
    marked = np.zeros(21, bool)
    marked[src] = True
    folder = tmp_path_factory.mktemp("sorting")
    kept, held, known, _ = sorted_rows(edges, folder, 0, HeldOut(src, dst, marked))
    every = {(u, v, t) for u, v, t in edges if u != v}
    gone = set(map(frozenset, pairs))
    assert set(kept) == {(u, v, t) for u, v, t in every if frozenset((u, v)) not in gone}
    assert {edge[1:] for edge in held} == every - set(kept)
    assert all(frozenset(pairs[number]) == frozenset((u, v)) for number, u, v, _ in held)
    assert sorted(known) == sorted((u, v) for u, v, _ in every if marked[u])


def test_sorting_in_files_is_sorting_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    src, dst = rng.integers(0, 5000, (2, 30_000))
    found = []
    for memory_bytes in (0, 100_000, 10**9):
        sorter = EdgeSorter(5000, 30_000, tmp_path / str(memory_bytes), memory_bytes)
        sorter.scatter([lambda: (src, dst, None)])
        assert sorter.buckets.spilled == (memory_bytes < 10**9)
        rows = [rows for _, rows in sorter.rows()]
        assert len(rows) == len(sorter.buckets)
        indptr = np.r_[0, np.cumsum(np.concatenate([r.degree for r in rows]))]
        found.append((indptr, np.concatenate([r.indices for r in rows])))
    assert len(sorter.buckets) < 20
    for indptr, indices in found[1:]:
        assert (indptr == found[0][0]).all()
        assert (indices == found[0][1]).all()
    loops = src == dst
    once = np.unique(np.stack([dst[~loops], src[~loops]]), axis=1)
    plain = build_csc(once[1], once[0], 5000)
    assert (found[0][0] == plain.indptr).all()
    assert (found[0][1] == plain.indices).all()


def test_buckets_take_from_many_threads_and_give_back_once(tmp_path):
    buckets = Buckets(tmp_path / "b", 3, memory_bytes=50)

    def add(number: int) -> None:
        keys = np.full(3, number, np.uint64)
        buckets.add(keys, np.array([0, 1, 1, 3]))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(buckets.take(0)) == list(range(20))
    assert len(buckets.take(1)) == 0
    assert sorted(buckets.take(2)) == sorted([*range(20), *range(20)])
    assert len(buckets.take(2)) == 0


def test_keys_that_do_not_fit_64_bits_are_refused():
    KeyLayout.of(2**31, 3, 31)
    with pytest.raises(UserError, match="too many nodes"):
        KeyLayout.of(2**40, 3, 30)


def test_results_come_in_order_and_a_failure_in_its_turn():
    def work(number):
        if number == 7:
            raise ValueError("seven")
        return number

    taken = []
    with pytest.raises(ValueError, match="seven"):
        taken.extend(map_in_order(work, range(20), 3))
    results = map_in_order(work, range(7), 3)
    assert list(results) == list(range(7))


def test_too_little_memory_is_refused_with_what_is_enough():
    memory = MemoryBudget.limit(0.75)
    assert memory.available(0, "nothing") == int(0.75 * 2**30) - BASE_BYTES
    with pytest.raises(
        UserError, match=r"is 0\.75, too little for the edges; give memory_gb=10\.72"
    ):
        memory.available(10 * 2**30, "the edges")
    with pytest.raises(UserError, match="above 0"):
        MemoryBudget.limit(0)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50), st.integers(1, 4), st.sampled_from([1, 400, 1 << 20]), st.randoms())
def test_shuffled_rows_come_back_in_their_new_order(tmp_path_factory, rows, pieces, memory, random):
    folder = tmp_path_factory.mktemp("rows")
    rank = np.array(random.sample(range(rows), rows))
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    given_in = np.array_split(values, pieces)
    found = np.concatenate(list(shuffled_rows(given_in, rank, folder, memory, 12)))
    np.testing.assert_array_equal(found[rank], values)
    assert not any(folder.iterdir())
