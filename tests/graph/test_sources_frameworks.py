"""A graph that is already in DGL or PyG comes over with its features, labels, splits and types."""

from types import SimpleNamespace

import numpy as np
import pytest

from hvdtma.core.errors import UserError
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


def test_a_dgl_graph_of_several_types_says_how_to_turn_it(torch):
    dgl = pytest.importorskip("dgl")
    hetero = dgl.heterograph({("a", "to", "b"): ([0], [1])})
    with pytest.raises(UserError, match="to_homogeneous"):
        from_dgl(hetero)


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


def test_data_without_edge_index_are_refused():
    with pytest.raises(UserError, match="edge_index"):
        from_pyg(SimpleNamespace(x=FEAT, num_nodes=4))
