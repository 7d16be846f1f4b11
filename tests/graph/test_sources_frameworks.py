"""A graph that is already in DGL or PyG comes over with its features, labels, splits and types."""

from types import SimpleNamespace

import numpy as np
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources import from_dgl, from_pyg

SRC, DST = [0, 1, 3, 1], [1, 2, 0, 2]
FEAT = np.arange(8, dtype=np.float32).reshape(4, 2)
LABEL = [2, -1, 5, 2]
MASKS = {
    "train_mask": [True, False, False, True],
    "val_mask": [False, True, False, False],
    "test_mask": [False, False, True, False],
}


def check(raw: RawGraph, kind: str) -> None:
    assert raw.src.tolist() == SRC
    assert raw.dst.tolist() == DST
    assert raw.node_id.to_list() == [0, 1, 2, 3]
    assert raw.feat.tolist() == FEAT.tolist()
    assert raw.label.tolist() == [0, -1, 1, 0]
    assert raw.label_names == ["2", "5"]
    assert raw.edge_type.tolist() == [1, 0, 1, 0]
    assert raw.edge_type_names == ["3", "7"]
    assert {part: nodes.tolist() for part, nodes in raw.node_split.items()} == {
        "train": [0, 3],
        "valid": [1],
        "test": [2],
    }
    assert raw.counts["nodes_without_label"] == 1
    assert raw.origin == {"kind": kind}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def dgl_graph(torch):
    dgl = pytest.importorskip("dgl")
    graph = dgl.graph((SRC, DST), num_nodes=4)
    graph.ndata["feat"] = torch.from_numpy(FEAT)
    graph.ndata["label"] = torch.tensor(LABEL)
    for name, mask in MASKS.items():
        graph.ndata[name] = torch.tensor(mask)
    graph.edata["etype"] = torch.tensor([7, 3, 7, 3])
    return graph


@pytest.fixture
def pyg_data(torch):
    geometric = pytest.importorskip("torch_geometric.data")
    masks = {name: torch.tensor(mask) for name, mask in MASKS.items()}
    return geometric.Data(
        x=torch.from_numpy(FEAT),
        edge_index=torch.tensor([SRC, DST]),
        y=torch.tensor(LABEL),
        edge_type=torch.tensor([7, 3, 7, 3]),
        **masks,
    )


def test_a_dgl_graph_comes_over_whole(dgl_graph):
    check(from_dgl(dgl_graph), "dgl")


def test_pyg_data_come_over_whole(pyg_data):
    check(from_pyg(pyg_data), "pyg")


def test_the_caller_says_whether_edges_have_a_direction(dgl_graph, pyg_data):
    for load, graph in ((from_dgl, dgl_graph), (from_pyg, pyg_data)):
        assert not load(graph).undirected
        assert load(graph, undirected=True).undirected


def test_a_bare_dgl_graph_has_edges_only(torch):
    dgl = pytest.importorskip("dgl")
    raw = from_dgl(dgl.graph((SRC, DST), num_nodes=9))
    assert raw.num_nodes == 9
    assert raw.feat is raw.label is raw.edge_type is raw.node_split is None


def data(**more) -> SimpleNamespace:
    return SimpleNamespace(edge_index=np.array([SRC, DST]), num_nodes=4, **more)


def test_pyg_data_of_arrays_and_without_extras_are_taken():
    raw = from_pyg(data())
    assert raw.src.tolist() == SRC
    assert raw.feat is raw.label is raw.edge_type is raw.node_split is None


def test_a_column_of_labels_and_half_precision_are_taken(torch):
    raw = from_pyg(data(y=torch.tensor([[1], [0], [1], [1]]), x=torch.ones(4, 1).bfloat16()))
    assert raw.label.tolist() == [1, 0, 1, 1]
    assert raw.feat.dtype == np.float32


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"x": np.ones((3, 2))}, "'x' in PyG data has 3 rows; the graph has 4 nodes"),
        ({"x": np.ones(4)}, r"\[nodes, features\]"),
        ({"x": np.array([[0], [1], [np.nan], [3]])}, "feature 0 of node 2 is NaN"),
        ({"y": np.full((4, 3), 7)}, "one class per node, an integer"),
        ({"y": np.zeros(3, int)}, "'y' in PyG data has 3 rows"),
        ({"edge_type": np.zeros(3, int)}, r"edge types of shape \[3\]"),
        ({"edge_type": np.zeros(4)}, "edge types"),
        (dict.fromkeys(MASKS, np.ones((4, 10), bool)), "choose one split"),
        (dict.fromkeys(MASKS, np.ones(5, bool)), "has 5 rows"),
    ],
)
def test_pyg_data_of_a_wrong_shape_are_refused(more, words):
    with pytest.raises(UserError, match=words):
        from_pyg(data(**more))


def sparse_forms(torch):
    """The features of the data as sparse matrices of several libraries."""
    import scipy.sparse as sp

    dense = torch.from_numpy(FEAT)
    yield from (dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc())
    yield from (sp.csr_matrix(FEAT), sp.coo_array(FEAT))
    coo = sp.coo_matrix(FEAT)
    yield SimpleNamespace(coo=lambda: (coo.row, coo.col, coo.data), sparse_sizes=lambda: coo.shape)


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning")
def test_sparse_features_of_any_library_are_read(torch):
    for feat in sparse_forms(torch):
        raw = from_pyg(data(x=feat))
        assert raw.feat.format == "csr"
        assert raw.feat.toarray().tolist() == FEAT.tolist()
    with pytest.raises(UserError, match="'x' in PyG data has 4 rows; the graph has 5 nodes"):
        from_pyg(SimpleNamespace(edge_index=[[0], [1]], num_nodes=5, x=feat))


def test_weights_and_times_of_pyg_are_used():
    raw = from_pyg(data(edge_weight=np.array([[1.0], [2], [3], [4]]), node_time=[1, 2, 3, 4]))
    assert raw.weight.tolist() == [1, 2, 3, 4]
    assert raw.node_time.tolist() == [1, 2, 3, 4]
    assert from_pyg(data(edge_time=[9, 8, 7, 6])).time.tolist() == [9, 8, 7, 6]
    five = {"edge_index": np.array([SRC, DST]), "num_nodes": 5}
    assert from_pyg(SimpleNamespace(time=[9, 8, 7, 6], **five)).time.tolist() == [9, 8, 7, 6]
    assert from_pyg(SimpleNamespace(time=[9] * 5, **five)).node_time.tolist() == [9] * 5
    with pytest.raises(UserError, match="of the 4 nodes or of the 4 edges; name it node_time or"):
        from_pyg(data(time=[1, 2, 3, 4]))


def test_weights_and_times_of_dgl_are_used(torch):
    dgl = pytest.importorskip("dgl")
    graph = dgl.graph((SRC, DST), num_nodes=4)
    graph.edata["weight"] = torch.tensor([1.0, 2, 3, 4])
    graph.edata["time"] = torch.tensor([9, 8, 7, 6])
    graph.ndata["time"] = torch.tensor([1.0, 2, np.nan, 4])
    raw = from_dgl(graph)
    assert raw.weight.tolist() == [1, 2, 3, 4]
    assert raw.time.tolist() == [9, 8, 7, 6]
    assert raw.node_time.tolist() == [1, 2, np.iinfo(np.int64).min, 4]  # NumPy's "not a time"
    assert "not_used" not in raw.origin
    graph.edata["edge_weight"] = graph.edata["weight"]
    with pytest.raises(UserError, match="has weight and edge_weight; delete one of them"):
        from_dgl(graph)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, 1e39])
def test_a_weight_that_is_not_positive_and_finite_is_refused_by_name(value):
    with pytest.raises(UserError, match="'edge_weight' in PyG data: the weight of edge 2 is"):
        from_pyg(data(edge_weight=np.array([1, 2, value, 3])))


def test_data_that_are_not_used_are_named_with_their_shapes(torch, tmp_path, capsys):
    dgl = pytest.importorskip("dgl")
    more = {"edge_attr": np.ones((4, 3)), "pos": torch.ones(4, 2), "extra": {"a": 1}, "name": "x"}
    raw = from_pyg(data(**more))
    assert "not used: edge_attr [4, 3], pos [4, 2], extra dict" in capsys.readouterr().err
    assert raw.origin["not_used"] == ["edge_attr [4, 3]", "pos [4, 2]", "extra dict"]
    assert raw.counts["attributes_not_used"] == 3
    graph = dgl.graph((SRC, DST), num_nodes=4)
    graph.ndata["h"], graph.edata["e"] = torch.ones(4, 2), torch.ones(4)
    assert from_dgl(graph).origin["not_used"] == ["e [4]", "h [4, 2]"]
    ring = np.stack([np.arange(40), (np.arange(40) + 1) % 40])
    raw = from_pyg(SimpleNamespace(edge_index=ring, num_nodes=40, pos=np.ones((40, 2))))
    store = build(tmp_path / "x.zarr", raw, BuildOptions(valid=3, test=3, negatives=2))
    assert store.attrs["counts"]["attributes_not_used"] == 1
    assert store.attrs["provenance"][0]["source"]["not_used"] == ["pos [40, 2]"]


def test_an_undirected_graph_with_each_link_both_ways_has_each_weight_once():
    both = np.array([[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]])
    weight = [1.0, 2, 3, 1, 2, 3]
    given = SimpleNamespace(edge_index=both, num_nodes=3, edge_weight=weight)
    raw = from_pyg(given, undirected=True)
    links = {
        (min(u, v), max(u, v)): w for u, v, w in zip(raw.src, raw.dst, raw.weight, strict=True)
    }
    assert links == {(0, 1): 1, (1, 2): 2, (0, 2): 3}
    assert raw.num_edges == 3
    assert from_pyg(given).num_edges == 6


def test_types_of_to_homogeneous_are_edge_types(torch):
    dgl = pytest.importorskip("dgl")
    hetero = dgl.heterograph(
        {("a", "to", "b"): ([0, 1], [1, 0]), ("b", "of", "a"): ([0], [1])}, {"a": 2, "b": 2}
    )
    raw = from_dgl(dgl.to_homogeneous(hetero))
    assert sorted(np.bincount(raw.edge_type).tolist()) == [1, 2]


def test_a_graph_of_events_is_edges_with_times(torch, capsys):
    geometric = pytest.importorskip("torch_geometric.data")
    raw = from_pyg(
        geometric.TemporalData(
            src=torch.tensor(SRC),
            dst=torch.tensor(DST),
            t=torch.tensor([5, 6, 7, 8]),
            msg=torch.ones(4, 3),
            y=torch.zeros(4),
        )
    )
    assert (raw.src.tolist(), raw.dst.tolist(), raw.time.tolist()) == (SRC, DST, [5, 6, 7, 8])
    assert sorted(raw.origin["not_used"]) == ["msg [4, 3]", "y [4]"]


def test_several_graphs_of_pyg_say_how_to_give_one():
    with pytest.raises(UserError, match=r"a list of 5 graphs; give one of them, such as data\[0\]"):
        from_pyg([data()] * 5)


def test_nodes_may_have_ids():
    ids = ["d", "c", "b", "a"]
    assert from_pyg(data(), ids=ids).node_id.to_list() == ids
    with pytest.raises(UserError, match="3 ids for 4 nodes"):
        from_pyg(data(), ids=ids[:3])


@pytest.mark.parametrize("ends", [[[0, 1]], [[0, 4], [1, 2]], [[0, -1], [1, 2]], [[0.5], [1.0]]])
def test_an_edge_index_of_a_wrong_shape_or_with_unknown_nodes_is_refused(ends):
    with pytest.raises(UserError, match=r"\[2, n\]|valid: 0 to 3|whole numbers"):
        from_pyg(SimpleNamespace(edge_index=np.array(ends), num_nodes=4))


def test_data_without_edge_index_are_refused():
    with pytest.raises(UserError, match="edge_index"):
        from_pyg(SimpleNamespace(x=FEAT, num_nodes=4))
