"""A store under another order of nodes is the same graph, whatever memory there is for it."""

import numpy as np
import pytest
from graph_in_memory import read_graph, renumber, write_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, edges_by_id

from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, MemoryBudget
from hvdtma.graph import reorder
from hvdtma.graph.csc import CSC
from hvdtma.graph.reorder import rank_of, write_reordered
from hvdtma.graph.sort.strings import shuffled_ids
from hvdtma.graph.store import open_store
from hvdtma.graph.stream import array_pieces, edge_batches, row_pieces
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

ENOUGH = MemoryBudget.limit(2)


class Tiny:
    """A limit that leaves so little that everything goes through files."""

    def available(self, num_bytes, purpose):
        return 40


@pytest.fixture(params=["community_store", "typed_store"])
def store(request):
    return request.getfixturevalue(request.param)


def reordered(store, order, path, memory=ENOUGH, block_nodes=10):
    blocks = np.append(np.arange(0, store.num_nodes, block_nodes), store.num_nodes)
    with StoreWriter(path) as writer:
        write_reordered(writer, store, rank_of(order), blocks, memory, block_nodes)
        writer.attrs["order"] = {}
    return open_store(path)


def assert_same_arrays(store, graph):
    """Bit for bit, and under the same names."""
    found = set(store.array_names) - {"block_offsets", "part_offsets"}
    assert found == graph.arrays.keys()
    for name, values in graph.arrays.items():
        assert store.read(name).dtype == values.dtype, name
        assert store.read(name).tobytes() == values.tobytes(), name


@pytest.mark.parametrize("memory", [ENOUGH, Tiny()])
def test_everything_follows_its_node_as_it_would_in_memory(store, memory, tmp_path, monkeypatch):
    monkeypatch.setattr(reorder, "IDS_PER_PIECE", 70)
    monkeypatch.setattr("hvdtma.graph.stream.NODES_PER_PIECE", 33)
    monkeypatch.setattr("hvdtma.graph.stream.LEAST_EDGES", 17)
    order = np.random.default_rng(5).permutation(store.num_nodes)
    moved = reordered(store, order, tmp_path / "x.zarr", memory)
    assert_same_arrays(moved, renumber(read_graph(store), order))
    for key in ("label_names", "edge_type_names", "counts", "num_nodes", "num_edges", "undirected"):
        assert moved.attrs[key] == store.attrs[key]
    assert not list(tmp_path.glob(".*"))


def test_renumbered_edges_are_the_permuted_matrix(store, tmp_path):
    order = np.random.default_rng(6).permutation(store.num_nodes)
    moved = reordered(store, order, tmp_path / "x.zarr").rows(0, store.num_nodes)
    csc = store.rows(0, store.num_nodes)
    assert (dense(moved) == dense(csc)[np.ix_(order, order)]).all()
    rows = np.split(moved.indices, moved.indptr[1:-1])
    assert all((np.diff(row) >= 0).all() for row in rows)


def test_the_order_turned_back_gives_the_same_arrays(store, tmp_path):
    order = np.random.default_rng(7).permutation(store.num_nodes)
    moved = reordered(store, order, tmp_path / "x.zarr")
    assert_same_arrays(reordered(moved, np.argsort(order), tmp_path / "y.zarr"), read_graph(store))


def test_an_edge_that_stands_twice_stays_twice(community_store, tmp_path):
    graph = read_graph(community_store)
    csc = graph.csc
    graph.csc = CSC(2 * csc.indptr, np.repeat(csc.indices, 2))
    twice = write_graph(tmp_path / "x.zarr", graph, np.array([0, 600]), order={})
    moved = reordered(twice, np.random.default_rng(1).permutation(600), tmp_path / "y.zarr")
    assert edges_by_id(read_graph(moved)) == edges_by_id(graph)


def test_too_little_memory_is_refused_with_what_is_enough(community_store, tmp_path):
    least_gb = (BASE_BYTES + LEAST_WORK_BYTES + 5 * 600) / 2**30
    order = np.arange(600)
    with pytest.raises(UserError, match=r"renumbering 600 nodes; give memory_gb=0\.72 or"):
        reordered(community_store, order, tmp_path / "x", MemoryBudget.limit(least_gb - 0.01))
    assert not list(tmp_path.iterdir())
    reordered(community_store, order, tmp_path / "x", MemoryBudget.limit(least_gb + 0.01))


def test_chunks_of_equal_blocks_hold_whole_blocks(community_store, tmp_path, monkeypatch):
    monkeypatch.setattr("hvdtma.graph.blocks.SMALL_CHUNK_BYTES", 1)
    moved = reordered(community_store, np.arange(600), tmp_path / "x.zarr", block_nodes=40)
    for name in ("feat", "first_hop", "label"):
        assert moved.array(name).chunks[0] == 40


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 50))
def test_pieces_of_edges_and_of_rows_are_the_graph(community_store, most_edges, nodes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hvdtma.graph.stream.NODES_PER_PIECE", nodes)
        edges = [make() for make in edge_batches(community_store, most_edges)]
        rows = [make() for make in row_pieces(community_store, most_edges)]
    whole = community_store.rows(0, 600)
    src, dst = (np.concatenate([piece[end] for piece in edges]) for end in (0, 1))
    assert (src == whole.indices).all()
    assert (dst == whole.destinations()).all()
    assert max(len(piece[0]) for piece in edges) <= most_edges
    assert (np.concatenate([piece.indices for piece in rows]) == whole.indices).all()
    degree = np.concatenate([np.diff(piece.indptr) for piece in rows])
    assert (degree == np.diff(whole.indptr)).all()
    assert all(len(piece.indices) <= most_edges or len(piece.indptr) == 2 for piece in rows)


def test_pieces_of_an_array_are_the_array(community_store):
    pieces = list(array_pieces(community_store, "feat", max_bytes=1))
    assert (np.concatenate(pieces) == community_store.read("feat")).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=5), unique=True, min_size=1), st.integers(1, 300), st.randoms())
def test_ids_that_are_strings_come_back_in_their_new_order(tmp_path_factory, names, memory, random):
    folder = tmp_path_factory.mktemp("ids")
    rank = np.array(random.sample(range(len(names)), len(names)))
    pieces = [NodeIds.of(names[start : start + 3]) for start in range(0, len(names), 3)]
    found = [
        name for ids in shuffled_ids(pieces, rank, folder, memory, 3) for name in ids.to_list()
    ]
    assert [found[place] for place in rank] == names
    assert not any(folder.iterdir())


def test_rows_of_a_range_are_those_of_the_whole(community_store, typed_store):
    for store in (community_store, typed_store):
        whole = store.rows(0, store.num_nodes)
        for start, stop in ((0, 5), (17, 90), (store.num_nodes - 1, store.num_nodes), (4, 4)):
            piece, edges = store.rows(start, stop), slice(*whole.indptr[[start, stop]])
            assert (piece.indptr == whole.indptr[start : stop + 1] - whole.indptr[start]).all()
            assert (piece.indices == whole.indices[edges]).all()
            if whole.edge_type is not None:
                assert (piece.edge_type == whole.edge_type[edges]).all()
