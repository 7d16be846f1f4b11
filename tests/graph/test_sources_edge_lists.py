"""Adjacency matrices of any library, and lists of edges, are graphs with the ids as given."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import hvdtma
from hvdtma.core.errors import UserError
from hvdtma.graph.sources import from_edges, from_pyg, from_scipy, graph_from

IDS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
)


def by_id(raw) -> list[tuple]:
    ids = raw.node_id.to_list()
    return [(ids[u], ids[v]) for u, v in zip(raw.src, raw.dst, strict=True)]


@given(st.data())
def test_any_pairs_come_back_exactly_in_order(data):
    kind = data.draw(st.sampled_from([st.integers(-(2**63), 2**63 - 1), IDS.filter(is_text)]))
    pairs = data.draw(st.lists(st.tuples(kind, kind), min_size=1))
    raw = from_edges(pairs)
    assert by_id(raw) == pairs
    assert sorted(raw.node_id.to_list(), key=utf8) == sorted(
        {end for pair in pairs for end in pair}, key=utf8
    )


def is_text(value) -> bool:
    return isinstance(value, str)


def utf8(value):
    return value.encode() if isinstance(value, str) else value


def test_arrays_in_rows_or_columns_and_tensors_are_edges():
    torch = pytest.importorskip("torch")
    rows = np.array([[5, 7], [7, 900], [900, 5]])
    for given_ in (rows, rows.T, torch.from_numpy(rows), rows.tolist(), (rows[:, 0], rows[:, 1])):
        assert by_id(from_edges(given_)) == [(5, 7), (7, 900), (900, 5)]
    strings = from_edges(rows.astype(str))
    assert by_id(strings) == [("5", "7"), ("7", "900"), ("900", "5")]


def test_numbers_of_nodes_may_have_ids_and_nodes_without_an_edge():
    raw = from_edges([(0, 2)], num_nodes=4)
    assert (raw.num_nodes, raw.src.tolist(), raw.dst.tolist()) == (4, [0], [2])
    assert by_id(from_edges([(0, 2)], ids=["a", "b", "c"])) == [("a", "c")]


def test_weights_times_and_types_come_with_the_edges():
    raw = from_edges([(1, 2), (2, 3)], weight=[0.5, 2], time=[7, 9], edge_type=["b", "a"])
    assert raw.weight.tolist() == [0.5, 2]
    assert raw.time.tolist() == [7, 9]
    assert [raw.edge_type_names[t] for t in raw.edge_type] == ["b", "a"]


@pytest.mark.parametrize(
    ("edges", "more", "words"),
    [
        ([(1, 2, 3)], {}, r"\(1, 2, 3\) is no edge; valid: pairs"),
        ([(1, 2), 3], {}, "3 is no edge"),
        (["ab", "cd"], {}, "'ab' is no edge"),
        ([(1, "a")], {}, "neither|one kind|integers"),
        ([(1.5, 2)], {}, "integers or strings"),
        ([(True, False)], {}, "integers or strings"),
        ([(None, 1)], {}, "holds null"),
        (np.zeros((3, 3), int), {}, r"edges of shape \[3, 3\]"),
        (np.zeros((2, 2), int), {}, r"array.tolist\(\)"),
        ([(0, 9)], {"num_nodes": 3}, "valid: 0 to 2"),
        ([("a", "b")], {"num_nodes": 3}, "whole numbers"),
        ([(0, 1)], {"ids": ["a", "a"]}, "an id twice"),
        ([(0, 1)], {"weight": [0]}, "the weight of edge 0 is 0; weights are positive and finite"),
        ([(0, 1)], {"weight": [1, 2]}, r"valid: numbers \[1\]"),
        ([(0, 1)], {"weight": [np.nan]}, "positive and finite"),
        ([(0, 1)], {"time": [np.inf]}, "holds the time inf; times are whole numbers"),
        ([(0, 1)], {"time": [0.5]}, "holds the time 0.5; .*give milliseconds"),
        ([(0, 1)], {"time": [2.0**63]}, "whole numbers of 64 bits"),
        ([(0, 1)], {"time": np.array([2**63], np.uint64)}, "whole numbers of 64 bits"),
        ([(0, 1)], {"edge_type": [1.5]}, "edge types"),
    ],
)
def test_what_is_no_list_of_edges_is_refused(edges, more, words):
    with pytest.raises(UserError, match=words):
        from_edges(edges, **more)


def adjacency() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    matrix = sp.random(30, 30, 0.2, random_state=rng, format="csr")
    matrix.data[:] = rng.integers(1, 5, matrix.nnz)
    return matrix


def of_torch_sparse(matrix):
    """What torch_sparse's SparseTensor offers."""
    coo = sp.coo_matrix(matrix)
    return SimpleNamespace(coo=lambda: (coo.row, coo.col, coo.data), sparse_sizes=lambda: coo.shape)


def forms_of(matrix):
    torch = pytest.importorskip("torch")
    coo = sp.coo_matrix(matrix)
    ends = np.stack([coo.row, coo.col])
    tensor = torch.sparse_coo_tensor(ends, coo.data, coo.shape, check_invariants=True)
    yield from (matrix, matrix.tocsc(), coo, matrix.tolil(), sp.csr_array(matrix))
    yield from (tensor, tensor.coalesce(), tensor.to_sparse_csr(), tensor.to_sparse_csc())
    yield of_torch_sparse(matrix)


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning")
def test_a_sparse_matrix_of_any_library_is_a_graph_with_weights():
    dense = adjacency().toarray()
    for matrix in forms_of(adjacency()):
        raw = graph_from(matrix)
        found = np.zeros((30, 30))
        found[raw.src, raw.dst] = raw.weight
        assert (found == dense).all()
        assert raw.num_nodes == 30


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning")
def test_adj_t_of_pyg_is_turned():
    dense = adjacency().toarray()
    for matrix in forms_of(adjacency().T.tocsr()):
        raw = from_pyg(SimpleNamespace(adj_t=matrix, num_nodes=30))
        found = np.zeros((30, 30))
        found[raw.src, raw.dst] = raw.weight
        assert (found == dense).all()


def test_an_adjacency_of_ones_has_no_weights_and_zeros_are_no_edges():
    matrix = adjacency()
    matrix.data[:] = 1
    matrix.data[:7] = 0
    raw = from_scipy(matrix)
    assert raw.weight is None
    assert raw.num_edges == matrix.nnz - 7
    assert raw.counts["zeros_in_adjacency"] == 7
    assert matrix.nnz == raw.num_edges + 7  # the caller's matrix stays as it was


def test_a_symmetric_matrix_of_an_undirected_graph_has_each_weight_once():
    half = sp.triu(adjacency(), 1)
    both = sp.csr_matrix(half + half.T)
    raw = from_scipy(both, undirected=True)
    found = np.zeros((30, 30))
    np.add.at(found, (raw.src, raw.dst), raw.weight)
    assert (np.triu(found + found.T) == half.toarray()).all()
    both[0, :] *= 2
    with pytest.raises(UserError, match="another weight, time or type in the other direction"):
        from_scipy(both, undirected=True)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (sp.csr_matrix((3, 4)), r"shape \[3, 4\]; it must be square"),
        (sp.csr_matrix(np.diag([1, -2, 3])), "the weight of edge 1 is -2"),
        (sp.csr_matrix(np.diag([1, np.nan, 3])), "positive and finite"),
    ],
)
def test_what_is_no_adjacency_is_refused(matrix, words):
    with pytest.raises(UserError, match=words):
        from_scipy(matrix)


def test_build_takes_objects_as_they_are(tmp_path):
    torch = pytest.importorskip("torch")
    geometric = pytest.importorskip("torch_geometric.data")
    dgl = pytest.importorskip("dgl")
    nodes = np.arange(60)
    pairs = np.stack([nodes, (nodes + 1) % 60], 1)
    tensor = torch.from_numpy(pairs.T.copy())
    matrix = sp.csr_matrix((np.ones(60), (pairs[:, 0], pairs[:, 1])), (60, 60))
    options = {"valid": 5, "test": 5, "negatives": 3, "feature_dim": 4}
    sources = [
        pairs.tolist(),
        pairs,
        tensor,
        matrix,
        geometric.Data(edge_index=tensor, num_nodes=60),
        dgl.graph((tensor[0], tensor[1])),
    ]
    graphs = [
        hvdtma.build(tmp_path / f"{number}.zarr", source, **options).graph
        for number, source in enumerate(sources)
    ]
    assert len(set(graphs)) == 1
