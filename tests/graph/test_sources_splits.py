"""Given splits are kept as they are, and nothing held out is left among the edges."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph

SPLIT = {
    "train": np.array([[1, 2], [3, 4], [2, 4]]),
    "valid": np.array([[1, 3]]),
    "test": np.array([[4, 1], [5, 2]]),
}


def load(folder, arrays: dict, edges: str | None = None, **more) -> RawGraph:
    np.savez(folder / "splits.npz", **arrays)
    if edges is not None:
        (folder / "edges.csv").write_text(edges)
    return FileSource(
        None if edges is None else folder / "edges.csv", splits=folder / "splits.npz", **more
    ).load()


def ids(raw: RawGraph, positions: np.ndarray) -> list:
    return [raw.node_id[int(position)] for position in positions.ravel()]


def pairs(raw: RawGraph, part=None) -> list[tuple]:
    src, dst = (raw.src, raw.dst) if part is None else (part.src, part.dst)
    return list(zip(ids(raw, src), ids(raw, dst), strict=True))


@pytest.mark.parametrize("kind", [np.int64, np.uint16, "U3"])
def test_pairs_and_negatives_are_kept_as_given(tmp_path, kind):
    negatives = {"valid_neg": np.array([[5, 4]]), "test_neg": np.array([[5, 9], [1, 1]])}
    given_arrays = {key: array.astype(kind) for key, array in (SPLIT | negatives).items()}
    raw = load(tmp_path, given_arrays)
    for part, array in SPLIT.items():
        expected = array.astype(str if kind == "U3" else int)
        assert pairs(raw, raw.link_split[part]) == [tuple(pair) for pair in expected.tolist()]
    assert raw.link_split["train"].neg is None
    test_neg = raw.link_split["test"].neg
    assert test_neg.shape == (2, 2)
    assert [int(id) for id in ids(raw, test_neg)] == [5, 9, 1, 1]
    assert raw.link_split["valid"].neg.shape == (1, 2)


def test_without_edges_every_id_is_a_node_and_the_train_pairs_are_the_edges(tmp_path):
    raw = load(tmp_path, SPLIT | {"valid_neg": np.array([[77]])})
    assert raw.node_id.to_list() == [1, 2, 3, 4, 5, 77]
    assert pairs(raw) == [(1, 2), (3, 4), (2, 4)]
    assert raw.counts["nodes_without_edges"] == 2


def test_edges_between_held_out_pairs_are_dropped_in_both_directions(tmp_path):
    raw = load(tmp_path, SPLIT, "3,1\n1,3\n1,4\n2,5\n5,3\n1,2\n")
    assert pairs(raw) == [(1, 2), (3, 4), (2, 4), (5, 3), (1, 2)]
    assert raw.counts["edges_held_out"] == 4


def test_held_out_pairs_that_are_trained_on_too_are_counted(tmp_path):
    raw = load(tmp_path, SPLIT | {"valid": np.array([[2, 1], [1, 3]])})
    assert raw.counts["held_out_pairs_in_train"] == 1
    assert len(raw.link_split["valid"]) == 2


def test_types_of_edges_and_pairs_have_one_set_of_names(tmp_path):
    types = {
        "train_type": np.array(["b", "a", "a"]),
        "valid_type": np.array(["c"]),
        "test_type": np.array(["a", "b"]),
    }
    raw = load(tmp_path, SPLIT | types)
    assert raw.edge_type_names == ["a", "b", "c"]
    assert raw.edge_type.tolist() == [1, 0, 0]
    raw = load(tmp_path, SPLIT | types, "src,dst,t\n2,3,d\n1,4,a\n1,3,a\n5,1,a\n", type_column="t")
    assert raw.edge_type_names == ["a", "b", "c", "d"]
    assert sorted(raw.edge_type_names[code] for code in raw.edge_type) == ["a", "a", "a", "b", "d"]
    assert raw.link_split["valid"].edge_type.tolist() == [2]
    assert raw.link_split["test"].edge_type.dtype == np.int16


def test_only_one_of_edges_and_pairs_with_types_is_refused(tmp_path):
    types = {f"{part}_type": np.zeros(len(array), int) for part, array in SPLIT.items()}
    with pytest.raises(UserError, match="the pairs have types but the edges do not"):
        load(tmp_path, SPLIT | types, "1,4\n2,3\n5,1\n")
    with pytest.raises(UserError, match="the edges have types but the pairs do not"):
        load(tmp_path, SPLIT, "src,dst,t\n1,4,x\n2,3,y\n5,1,z\n", type_column="t")


def test_a_split_of_nodes_is_kept(tmp_path):
    nodes = {"train_node": np.array([3, 1]), "valid_node": [2], "test_node": [4]}
    raw = load(tmp_path, nodes, "1,2\n3,4\n")
    assert {part: ids(raw, at) for part, at in raw.node_split.items()} == {
        "train": [1, 3],
        "valid": [2],
        "test": [4],
    }
    assert raw.link_split is None
    both = load(tmp_path, SPLIT | nodes)
    assert both.link_split is not None
    assert ids(both, both.node_split["train"]) == [1, 3]


def test_ids_of_pairs_follow_the_kind_of_the_edges_ids(tmp_path):
    raw = load(tmp_path, SPLIT, "1,2\n3,x\n4,5\n", id_type="str")
    assert pairs(raw)[0] == ("1", "2")
    texts = {part: array.astype(str) for part, array in SPLIT.items()}
    assert pairs(load(tmp_path, texts, "1,2\n3,4\n5,1\n"))[0] == (1, 2)
    assert pairs(load(tmp_path, texts, id_type="int"))[0] == (1, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"valid": None}, r"lacks valid; .*train, valid, test \[n, 2\]"),
        ({"train": None, "valid": None, "test": None, "x": [1]}, "unknown key 'x'"),
        ({"train": None, "valid": None, "test": None, "train_node": [1]}, "lacks valid_node, test"),
        ({"vaild": np.zeros((1, 2))}, "unknown key 'vaild'; .* did you mean 'valid'"),
        ({"train": np.zeros((0, 2), int)}, "'train' is empty"),
        ({"test": np.zeros((2, 3), int)}, r"'test' has shape \[2, 3\]; it must be \[n, 2\]"),
        ({"test": np.zeros(2, int)}, r"'test' has shape \[2\]; it must be \[n, 2\]"),
        ({"test": np.int64(3)}, r"it must be \[n, 2\]"),
        ({"train": np.ones((3, 2))}, "integers or strings"),
        ({"valid_neg": np.zeros((2, 5), int)}, r"'valid_neg' has shape \[2, 5\].* \[1, K\]"),
        ({"valid_neg": np.zeros((1, 0), int)}, r"must be \[1, K\]"),
        ({"valid_neg": np.ones((1, 2), int), "test_neg": np.ones((2, 3), int)}, "same number"),
        ({"train_type": [0, 0, 0]}, "lacks valid_type, test_type"),
        ({"train_type": [0], "valid_type": [0], "test_type": [0, 0]}, r"must be \[3\]"),
        (
            {"train_node": [1], "valid_node": [1], "test_node": [2]},
            "node '1' is in the split of nodes twice",
        ),
    ],
)
def test_a_splits_file_that_is_wrong_says_what_is_valid(tmp_path, change, words):
    arrays = {key: array for key, array in (SPLIT | change).items() if array is not None}
    with pytest.raises(UserError, match=words):
        load(tmp_path, arrays)


def test_ids_that_are_no_nodes_are_named(tmp_path):
    with pytest.raises(UserError, match="'test' has the id '5', which is in no edge"):
        load(tmp_path, SPLIT, "1,2\n3,4\n")
    with pytest.raises(UserError, match="'test_neg' has the id '6'"):
        load(tmp_path, SPLIT | {"test_neg": np.array([[1], [6]])}, "1,2\n3,4\n5,1\n")
    words = {part: np.array([["a", "b"]]) for part in SPLIT}
    with pytest.raises(UserError, match="'train' has the id 'a', which is in no edge"):
        load(tmp_path, words, "1,2\n")


def test_what_is_no_splits_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="nodes only; give --edges"):
        load(tmp_path, {"train_node": [1], "valid_node": [2], "test_node": [3]})
    np.savez(tmp_path / "objects.npz", **SPLIT | {"valid": np.array([[1, None]], object)})
    with pytest.raises(UserError, match="cannot be read"):
        FileSource(splits=tmp_path / "objects.npz").load()
    with pytest.raises(UserError, match=r"valid: \.npz"):
        FileSource(splits=tmp_path / "splits.docx").load()
    with pytest.raises(UserError, match="there is no splits file"):
        FileSource(splits=tmp_path / "absent.npz").load()


PAIR = st.tuples(st.integers(0, 6), st.integers(0, 6))
PAIRS = st.lists(PAIR, min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(PAIRS, PAIRS, PAIRS, PAIRS)
def test_no_edge_of_the_file_survives_in_a_held_out_pair(
    tmp_path_factory, train, valid, test, edges
):
    valid = [pair for pair in dict.fromkeys(valid) if pair[0] != pair[1]]
    test = [pair for pair in dict.fromkeys(test) if pair[0] != pair[1] and pair not in valid]
    assume(valid and test)
    every_id = [(i, i) for i in range(7)]
    split = {"train": np.array(train), "valid": np.array(valid), "test": np.array(test)}
    text = "".join(f"{s},{d}\n" for s, d in edges + every_id)
    raw = load(tmp_path_factory.mktemp("splits"), split, text)
    held_out = {frozenset(pair) for pair in valid + test}
    after_train = pairs(raw)[len(train) :]
    assert pairs(raw)[: len(train)] == train
    assert after_train == [e for e in edges + every_id if frozenset(e) not in held_out]
