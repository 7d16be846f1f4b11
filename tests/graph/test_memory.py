"""A graph under another numbering is the same graph, and a store of it gives it back."""

import numpy as np
import pytest
from small_graphs import dense, edges_by_id

from hvdtma.graph.memory import read_graph, renumber, write_graph


@pytest.fixture(params=["community_store", "typed_store"])
def graph(request):
    return read_graph(request.getfixturevalue(request.param))


def pairs_by_id(graph):
    ids = graph.node_id.to_list()
    found = {}
    for part, pairs in graph.links.items():
        types = [None] * len(pairs) if pairs.edge_type is None else pairs.edge_type.tolist()
        found[part] = [
            (ids[u], ids[v], [ids[w] for w in neg], kind)
            for u, v, neg, kind in zip(pairs.src, pairs.dst, pairs.neg, types, strict=True)
        ]
    return found


def rows_by_id(graph):
    """What stands beside each id: features, first hop, label, part of the split."""
    rows = {}
    parts = {node: part for part, nodes in graph.nodes.items() for node in nodes}
    for node, name in enumerate(graph.node_id.to_list()):
        label = None if graph.label is None else int(graph.label[node])
        hop = graph.first_hop[node].tolist()
        rows[name] = (graph.feat[node].tolist(), hop, label, parts.get(node))
    return rows


def test_everything_follows_its_node_into_another_order(graph):
    order = np.random.default_rng(5).permutation(graph.num_nodes)
    moved = renumber(graph, order)
    assert moved.node_id.to_list() == [graph.node_id[old] for old in order]
    assert edges_by_id(moved) == edges_by_id(graph)
    assert pairs_by_id(moved) == pairs_by_id(graph)
    assert rows_by_id(moved) == rows_by_id(graph)


def test_renumbered_edges_are_the_permuted_matrix(graph):
    order = np.random.default_rng(6).permutation(graph.num_nodes)
    moved = renumber(graph, order).csc
    assert (dense(moved) == dense(graph.csc)[np.ix_(order, order)]).all()
    rows = np.split(moved.indices, moved.indptr[1:-1])
    assert all((np.diff(row) >= 0).all() for row in rows)


def test_the_order_turned_back_gives_the_same_arrays(graph):
    order = np.random.default_rng(7).permutation(graph.num_nodes)
    back = renumber(renumber(graph, order), np.argsort(order))
    for name, values in graph.arrays.items():
        assert (back.arrays[name] == values).all(), name
        assert back.arrays[name].dtype == values.dtype, name


def test_a_store_gives_back_every_array_as_it_was(graph, tmp_path):
    store = write_graph(tmp_path / "x.zarr", graph, np.array([0, graph.num_nodes]), order={})
    back = read_graph(store)
    assert back.arrays.keys() == graph.arrays.keys()
    for name, values in graph.arrays.items():
        assert back.arrays[name].dtype == values.dtype
        assert back.arrays[name].tobytes() == values.tobytes()
    assert back.attrs == graph.attrs
    assert back.undirected == graph.undirected


def test_rows_of_a_range_are_those_of_the_whole(community_store, typed_store):
    for store in (community_store, typed_store):
        whole = store.rows(0, store.num_nodes)
        for start, stop in ((0, 5), (17, 90), (store.num_nodes - 1, store.num_nodes), (4, 4)):
            piece, edges = store.rows(start, stop), slice(*whole.indptr[[start, stop]])
            assert (piece.indptr == whole.indptr[start : stop + 1] - whole.indptr[start]).all()
            assert (piece.indices == whole.indices[edges]).all()
            if whole.edge_type is not None:
                assert (piece.edge_type == whole.edge_type[edges]).all()
