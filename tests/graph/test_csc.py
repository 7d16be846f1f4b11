"""Compressed sparse columns say the same as the plain list of edges they were made of."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.graph.blocks import blocks_of_units, default_block_size, equal_blocks
from hvdtma.graph.csc import build_csc, index_dtype
from hvdtma.storage.array_writer import CHUNK_BYTES

EDGES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 300)), max_size=40)


def arrays(edges):
    return np.array(edges, np.int64).reshape(-1, 3).T


@settings(max_examples=80, deadline=None)
@given(EDGES)
def test_edges_are_sorted_by_destination_then_source_and_none_is_lost(edges):
    src, dst, kind = arrays(edges)
    csc = build_csc(src, dst, 9, kind)
    found = list(zip(csc.destinations(), csc.indices, csc.edge_type, strict=True))
    assert [edge[:2] for edge in found] == sorted((v, u) for u, v, _ in edges)
    assert Counter(found) == Counter((v, u, t) for u, v, t in edges)
    assert csc.indptr[0] == 0
    assert csc.indptr[-1] == len(edges)


@settings(max_examples=40, deadline=None)
@given(EDGES)
def test_parallel_edges_keep_the_order_they_were_given_in(edges):
    src, dst, _ = arrays(edges)
    csc = build_csc(src, dst, 9, np.arange(len(edges)))
    key = csc.destinations() * 9 + csc.indices
    assert (np.diff(csc.edge_type)[np.diff(key) == 0] > 0).all()


@settings(max_examples=80, deadline=None)
@given(EDGES)
def test_every_pair_is_counted_as_often_as_it_stands(edges):
    src, dst, _ = arrays(edges)
    csc = build_csc(src, dst, 9)
    expected = Counter((u, v) for u, v, _ in edges)
    all_src, all_dst = np.divmod(np.arange(81), 9)
    count = csc.count_edges(all_src, all_dst)
    assert count.tolist() == [expected[u, v] for u, v in zip(all_src, all_dst, strict=True)]
    assert (csc.has_edges(all_src, all_dst) == (count > 0)).all()


def test_node_numbers_are_as_narrow_as_they_can_be():
    assert index_dtype(2**31 - 1) is np.int32
    assert index_dtype(2**31) is np.int64
    assert build_csc(np.array([1]), np.array([0]), 2).indices.dtype == np.int32


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 500), st.integers(1, 90))
def test_equal_blocks_cover_every_node_and_only_the_last_is_smaller(num_nodes, block_nodes):
    sizes = np.diff(equal_blocks(num_nodes, block_nodes))
    assert sizes.sum() == num_nodes
    assert (sizes[:-1] == block_nodes).all()
    assert 0 < sizes[-1] <= block_nodes


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 60))
def test_blocks_never_run_through_a_unit_and_stay_near_their_size(unit_sizes, block_nodes):
    offsets = blocks_of_units(np.array(unit_sizes), block_nodes)
    ends = np.cumsum([0, *unit_sizes])
    assert np.isin(offsets, ends).all()
    assert offsets[0] == 0
    assert offsets[-1] == ends[-1]
    sizes = np.diff(offsets)
    assert (sizes > 0).all()
    largest = max(unit_sizes)
    assert (sizes < block_nodes + largest).all()
    assert (sizes[:-1] >= block_nodes - largest / 2).all()


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10**10), st.integers(1, 10**6))
def test_a_sensible_block_fits_a_chunk_and_leaves_enough_blocks_to_assign(num_nodes, row_bytes):
    size = default_block_size(num_nodes, row_bytes)
    assert size >= 1
    assert size == 1 or size * row_bytes <= CHUNK_BYTES
    assert size == 1 or num_nodes / size > 128  # more than half of 256, whatever the rounding
