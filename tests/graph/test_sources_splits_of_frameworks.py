"""A split that comes with a DGL or PyG graph is kept or refused, never replaced or dropped."""

from types import SimpleNamespace

import numpy as np
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.sources import from_dgl, from_pyg

NODES, PER_PART = 90, 20
OPTIONS = {"hold_out": "nodes", "valid": 0.1, "test": 0.2, "order": "given"}


def ring(**more) -> SimpleNamespace:
    """A ring of nodes of three classes, in the form of PyG's `Data`."""
    nodes = np.arange(NODES)
    edge_index = np.stack([nodes, (nodes + 1) % NODES])
    return SimpleNamespace(edge_index=edge_index, num_nodes=NODES, y=nodes % 3, **more)


def mask(start: int, stop: int) -> np.ndarray:
    found = np.zeros(NODES, bool)
    found[start:stop] = True
    return found


def parts_of(store) -> dict[str, set[int]]:
    """The user's ids of every part, as the store has them."""
    ids = store.node_ids().to_list()
    parts = ("train", "valid", "test")
    return {part: {ids[node] for node in store.labelled_nodes(part)} for part in parts}


def built(tmp_path, data, **options):
    return build(tmp_path / "x.zarr", from_pyg(data), BuildOptions(**(OPTIONS | options)))


TRAIN, TEST = mask(0, 40), mask(40, 76)


@pytest.mark.parametrize("order", ["given", "random"])
def test_a_missing_part_is_drawn_from_the_nodes_in_no_part(tmp_path, order, capsys):
    store = built(tmp_path, ring(train_mask=TRAIN, test_mask=TEST), order=order)
    parts = parts_of(store)
    assert parts["train"] == set(range(40))
    assert parts["test"] == set(range(40, 76))
    assert len(parts["valid"]) == 9  # a tenth of all labelled nodes
    assert parts["valid"] <= set(range(76, 90))
    assert store.attrs["counts"]["valid_nodes_drawn"] == 9
    assert "lacks valid: valid 9 drawn from labelled nodes" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_missing_part_is_taken_from_train_if_every_node_is_in_a_part(tmp_path, capsys):
    rest = mask(40, 90)
    store = built(tmp_path, ring(train_mask=TRAIN, test_mask=rest))
    parts = parts_of(store)
    assert parts["test"] == set(range(40, 90))
    assert len(parts["valid"]) == 9
    assert parts["valid"] | parts["train"] == set(range(40))
    assert not parts["valid"] & parts["train"]
    assert store.attrs["counts"]["valid_nodes_taken_from_train"] == 9
    assert "from the given train part" in " ".join(capsys.readouterr().err.split())


def test_a_missing_train_part_gets_the_nodes_that_remain(tmp_path):
    parts = parts_of(built(tmp_path, ring(test_mask=TEST)))
    assert parts["test"] == set(range(40, 76))
    assert len(parts["valid"]) == 9
    assert parts["train"] == set(range(90)) - parts["test"] - parts["valid"]


def test_few_free_nodes_are_shared_by_the_missing_parts_in_proportion(tmp_path):
    parts = parts_of(built(tmp_path, ring(train_mask=mask(0, 78))))
    assert {part: len(nodes) for part, nodes in parts.items()} == {
        "train": 78,
        "valid": 4,  # of 12 free nodes, as 9 to 18
        "test": 8,
    }


def test_unlabelled_nodes_are_not_drawn(tmp_path):
    data = ring(train_mask=TRAIN, test_mask=TEST)
    data.y = np.where(np.arange(NODES) % 2 & mask(76, 90), -1, data.y)
    parts = parts_of(built(tmp_path, data))
    assert parts["valid"] == set(range(76, 90, 2))


def test_a_part_that_would_be_empty_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"no valid and no test part, .*valid, test would be empty"):
        built(tmp_path, ring(train_mask=mask(0, 89)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "names",
    [
        ("train_mask", "val_mask", "test_mask"),
        ("train_mask", "valid_mask", "test_mask"),
        ("training_mask", "validation_mask", "test_mask"),
        ("train_mask", "dev_mask", "test_mask"),
        ("train_idx", "val_idx", "test_idx"),
        ("train_index", "dev_index", "test_index"),
        ("train_nid", "val_nid", "test_nid"),
    ],
)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_masks_and_indices_of_usual_names_and_types_are_the_split(names, dtype):
    masks = [mask(0, 30), mask(30, 50), mask(50, 90)]
    if not names[0].endswith("mask"):
        if dtype is np.float32:
            return  # no index
        masks = [np.flatnonzero(m)[::-1] for m in masks] if dtype is not bool else masks
    values = [m.astype(dtype) for m in masks]
    raw = from_pyg(ring(**dict(zip(names, values, strict=True))))
    assert [raw.node_split[part].tolist() for part in ("train", "valid", "test")] == [
        list(range(30)),
        list(range(30, 50)),
        list(range(50, 90)),
    ]
    assert "not_used" not in raw.origin


@pytest.mark.parametrize("inside", [True, False])
def test_the_split_of_ogb_is_taken_as_a_dict(inside):
    split = {"train": [3, 1], "valid": np.array([[2]]), "test": np.arange(5, 9)}
    raw = from_pyg(ring(split_idx=split)) if inside else from_pyg(ring(), split_idx=split)
    assert {part: nodes.tolist() for part, nodes in raw.node_split.items()} == {
        "train": [1, 3],
        "valid": [2],
        "test": [5, 6, 7, 8],
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"train_mask": mask(0, 50), "val_mask": mask(48, 60)},
            r"node 48 is in the split twice, in train and in valid \(2 such nodes\)",
        ),
        ({"train_idx": [1, 2, 1]}, "'train_idx' in PyG data names node 1 twice"),
        ({"train_idx": [1, 90]}, "holds 1 to 90; valid: 0 to 89"),
        ({"train_idx": [-1, 3]}, "holds -1 to 3"),
        ({"train_idx": [0.5]}, "whole numbers of nodes"),
        ({"train_mask": np.arange(NODES)}, "'train_mask' in PyG data is no mask"),
        ({"train_mask": np.ones((NODES, 10), bool)}, r"train_mask\[:, 0\]"),
        ({"val_mask": mask(0, 9), "valid_mask": mask(0, 8)}, "'val_mask' and 'valid_mask'"),
        ({"split_idx": {"trian": [1]}}, "split_idx has the key 'trian'; valid: train, "),
        ({"split_idx": {"train": [1], "test": [1]}}, "node 1 is in the split twice"),
        ({"split_idx": {"train": [1]}, "train_mask": TRAIN}, "besides split_idx"),
    ],
)
def test_a_split_that_contradicts_itself_is_refused(more, words):
    with pytest.raises(UserError, match=words):
        from_pyg(ring(**more))


def test_masks_of_dgl_are_treated_alike(tmp_path):
    torch, dgl = pytest.importorskip("torch"), pytest.importorskip("dgl")
    graph = dgl.graph((torch.arange(NODES), torch.arange(1, NODES + 1) % NODES))
    graph.ndata["label"] = torch.arange(NODES) % 3
    graph.ndata["train_mask"], graph.ndata["test_mask"] = map(torch.from_numpy, (TRAIN, TEST))
    parts = parts_of(build(tmp_path / "x.zarr", from_dgl(graph), BuildOptions(**OPTIONS)))
    assert (parts["train"], parts["test"]) == (set(range(40)), set(range(40, 76)))
    graph.ndata["test_mask"][3] = True
    with pytest.raises(UserError, match="node 3 is in the split twice"):
        from_dgl(graph)


def test_edge_masks_of_dgl_are_a_split_of_links(tmp_path):
    torch, dgl = pytest.importorskip("torch"), pytest.importorskip("dgl")
    graph = dgl.graph((torch.arange(NODES), torch.arange(1, NODES + 1) % NODES))
    for name, (start, stop) in {"train": (0, 60), "val": (60, 70), "test": (70, 88)}.items():
        graph.edata[f"{name}_mask"] = torch.from_numpy(mask(start, stop))
    raw = from_dgl(graph)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(negatives=2, order="given"))
    assert store.num_edges == 60
    assert sorted(store.links("valid").src) == list(range(60, 70))
    assert sorted(store.links("test").src) == list(range(70, 88))
    assert raw.origin["not_used"] == ["2 edges that are in no part of the split"]
    del graph.edata["val_mask"]
    with pytest.raises(UserError, match="a split of edges without valid; give all three parts"):
        from_dgl(graph)


@pytest.fixture
def torch_data():
    torch = pytest.importorskip("torch")
    geometric = pytest.importorskip("torch_geometric.data")
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 40, (2, 300)), axis=1)
    pairs = pairs[:, pairs[0] < pairs[1]]
    both = np.concatenate([pairs, pairs[::-1]], 1)
    return geometric.Data(edge_index=torch.from_numpy(both), num_nodes=40), pairs


@pytest.mark.parametrize("options", [{}, {"split_labels": True}, {"disjoint_train_ratio": 0.3}])
def test_the_three_parts_of_random_link_split_are_kept(torch_data, tmp_path, options, capsys):
    transforms = pytest.importorskip("torch_geometric.transforms")
    data, pairs = torch_data
    three = transforms.RandomLinkSplit(0.1, 0.2, is_undirected=True, **options)(data)
    store = build(tmp_path / "x.zarr", from_pyg(three, undirected=True), BuildOptions(negatives=2))
    key = "pos_edge_label_index" if options.get("split_labels") else "edge_label_index"
    ids = np.array(store.node_ids().to_list())
    held_out = set()
    for part, one in zip(("valid", "test"), three[1:], strict=True):
        expected = one[key].numpy()
        if key == "edge_label_index":
            expected = expected[:, one.edge_label.numpy() == 1]
        links = store.links(part)
        found = set(zip(ids[links.src].tolist(), ids[links.dst].tolist(), strict=True))
        assert found == set(map(tuple, expected.T.tolist()))
        held_out |= found
    indptr, indices = store.read("indptr"), store.read("indices")
    src, dst = ids[indices], ids[np.repeat(np.arange(40), np.diff(indptr))]
    inside = {(u, v) for u, v in zip(src.tolist(), dst.tolist(), strict=True) if u < v}
    assert inside | held_out == set(map(tuple, pairs.T.tolist()))
    assert not inside & held_out
    assert "negative pairs of valid (negatives are drawn for each link)" in capsys.readouterr().err


def test_one_part_of_a_link_split_alone_is_refused(torch_data):
    transforms = pytest.importorskip("torch_geometric.transforms")
    train, valid, test = transforms.RandomLinkSplit(is_undirected=True)(torch_data[0])
    other = ring(pos_edge_label_index=np.zeros((2, 3), int), edge_label=np.ones(3))
    for one in (train, valid, other):
        with pytest.raises(UserError, match=r"from_pyg\(\(train, valid, test\)\)"):
            from_pyg(one)
    with pytest.raises(UserError, match="a list of 2 graphs; give one of them"):
        from_pyg([train, valid])
    test.edge_label[0] = 7
    with pytest.raises(UserError, match="'edge_label' in the test PyG data"):
        from_pyg((train, valid, test))


def test_the_named_pairs_of_the_older_split_are_kept(tmp_path):
    pairs = np.stack([np.arange(39), np.arange(1, 40)])
    named = {
        "train_pos_edge_index": pairs[:, :30],
        "val_pos_edge_index": pairs[:, 30:34],
        "val_neg_edge_index": pairs[:, :4] + 3,
        "test_pos_edge_index": pairs[:, 34:],
    }
    raw = from_pyg(SimpleNamespace(num_nodes=40, edge_index=None, **named))
    assert raw.src.tolist() == list(range(30))
    assert raw.link_split["valid"].src.tolist() == list(range(30, 34))
    assert raw.link_split["test"].dst.tolist() == list(range(35, 40))
    assert raw.origin["not_used"][0].startswith("4 negative pairs of valid")
    del named["test_pos_edge_index"]
    with pytest.raises(UserError, match="a split of pairs without test"):
        from_pyg(SimpleNamespace(num_nodes=40, edge_index=None, **named))
