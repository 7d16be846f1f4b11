"""The kind of labels follows from the values, or the values are refused by name."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hvdtma.core.errors import UserError
from hvdtma.graph.label_values import targets_of
from hvdtma.graph.sources import from_dgl, from_pyg
from hvdtma.graph.targets import UNKNOWN, check_targets

NAN = np.nan


@pytest.mark.parametrize(
    ("values", "label", "names"),
    [
        ([2, -1, 5, 2], [0, -1, 1, 0], ["2", "5"]),
        ([[5], [-3], [0]], [1, -1, 0], ["0", "5"]),
        ([True, False, True], [1, 0, 1], ["0", "1"]),
        (np.array([3, 1, 3], np.uint8), [1, 0, 1], ["1", "3"]),
        ([[5.0], [NAN], [-1.0], [2.0], [5.0], [2.0]], [1, -1, -1, 0, 1, 0], ["2", "5"]),
        ([NAN, -1.0], [-1, -1], []),
    ],
)
def test_whole_numbers_of_few_values_are_classes(values, label, names):
    found = targets_of(np.array(values), "here")
    assert (found.label.tolist(), found.names, found.kind) == (label, names, "class")
    assert found.label.dtype == np.int64


def test_real_numbers_are_targets_of_regression_and_never_classes():
    values = np.arange(80) * 1.37
    found = targets_of(values, "here")
    assert (found.kind, found.names) == ("real", ["target"])
    assert found.label[:, 0].tolist() == values.tolist()


@pytest.mark.parametrize(
    "values",
    [
        np.arange(60.0),  # as many as nodes
        np.repeat(np.arange(1001.0), 2),  # too many
        [-7.0, 3.0, 3.0, -7.0],  # temperatures, say
        [0.0, 1.0, 1.0, 0.5],
        [2.0**60, 2.0**60],
    ],
)
def test_whole_numbers_in_floats_that_are_many_or_negative_are_targets(values):
    assert targets_of(np.array(values), "here").kind == "real"


def test_a_choice_between_classes_and_targets_is_said(capsys):
    targets_of(np.array([0.0, 1.0, 0.0, NAN, 1.0]), "'y' in PyG data")
    said = " ".join(capsys.readouterr().err.split())
    assert "'y' in PyG data: whole numbers in floats are taken as 2 classes" in said
    assert "label_kind='real'" in said
    targets_of(np.array([0, 1, 0]), "here")
    targets_of(np.array([0.5, 1, 0]), "here")
    assert capsys.readouterr().err == ""


def test_a_given_kind_wins_over_the_choice():
    years = np.array([1999, 2004, 1999, -1])
    assert targets_of(years, "here", kind="real").label[:, 0].tolist() == years.tolist()
    many = targets_of(np.repeat(np.arange(1001.0), 2), "here", kind="class")
    assert len(many.names) == 1001
    one_hot = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]])
    found = targets_of(one_hot, "here", kind="class")
    assert (found.label.tolist(), found.names) == ([1, 0, -1, 1], ["0", "1", "2"])
    named = targets_of(one_hot, "here", kind="class", names=["a", "b", "c"])
    assert named.names == ["a", "b", "c"]
    mixed = targets_of(np.array([[0, 1.5], [1, 2.5]]), "here", kind="real", names=["a", "b"])
    assert mixed.names == ["a", "b"]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool])
def test_columns_of_0_and_1_are_labels_of_which_a_node_may_have_several(dtype):
    values = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]], dtype)
    found = targets_of(values, "here")
    assert (found.label.tolist(), found.names) == (values.tolist(), ["0", "1", "2"])
    assert (found.kind, found.label.dtype) == ("multi", np.uint8)
    sparse = targets_of(sp.csr_matrix(values.astype(int)), "here")
    assert sparse.label.tolist() == values.tolist()


def test_unknown_entries_of_several_labels_are_kept_apart_from_zeros():
    found = targets_of(np.array([[1, NAN], [NAN, NAN], [0, 1]]), "here")
    assert found.label.tolist() == [[1, UNKNOWN], [UNKNOWN, UNKNOWN], [0, 1]]
    assert targets_of(np.array([[1, 0], [-1, -1]]), "here").label[1].tolist() == [255, 255]


def test_a_column_without_values_fits_every_kind():
    assert targets_of(np.array([[0.5, NAN], [1.5, NAN]]), "here").kind == "real"
    assert targets_of(np.array([[0.0, NAN], [1.0, NAN]]), "here").kind == "multi"


def test_as_many_names_as_columns_are_needed():
    with pytest.raises(UserError, match="here has 2 columns, but 1 names: a"):
        targets_of(np.array([[0, 1], [1, 1]]), "here", names=["a"])


def test_labels_that_exclude_one_another_are_noticed(capsys):
    targets_of(np.eye(3, dtype=int)[np.arange(12) % 3], "here")
    assert "exactly one of 3 labels" in " ".join(capsys.readouterr().err.split())


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (7, 3), elements=st.integers(-9999, 9999).map(lambda n: n / 4 + 0.125)))
def test_several_real_targets_come_back_as_given(values):
    found = targets_of(values, "here")
    assert found.kind == "real"
    assert (found.label == values).all()


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([[0, 2], [1, 3]], None, "one class per node"),
        ([[1, -1], [-1, 1]], None, "1 and -1; give 1 and 0"),
        ([[0, 1.5], [1, 2.5]], None, r"columns of 0 and 1 \(0\) beside columns of other numbers"),
        (np.arange(20), None, "20 classes for 20 labelled nodes"),
        ([0.5, np.inf], None, "infinite"),
        (["a", "b"], None, "one class per node"),
        (np.zeros((3, 0)), None, "one class per node"),
        (np.zeros((2, 2, 2)), None, "one class per node"),
        ([0.5, 1.0], "class", "holds 0.5, which is no class"),
        ([[1, 1], [0, 1]], "class", "no one-hot matrix"),
        ([0, 1, 1], "multi", "one column"),
        ([[0, 2], [1, 0]], "multi", "other values than 0 and 1"),
        ([True, False], "real", "numbers"),
        ([0, 1], "regression", "valid: class, multi, real"),
    ],
)
def test_values_of_no_kind_are_refused(values, kind, words):
    with pytest.raises(UserError, match=words):
        targets_of(np.array(values), "here", kind=kind)


@pytest.mark.parametrize(
    ("label", "kind", "names", "words"),
    [
        (np.zeros(3, int), "classes", ["a"], "did you mean 'class'"),
        (np.array([0.0, 0.5, 1.0]), "class", ["a", "b"], "float64, for 2 label_names"),
        (np.array([0, 2, -1]), "class", ["a", "b"], "holds -1 to 2; valid: -1 to 1"),
        (np.array([0, 1, -2]), "class", ["a", "b"], "holds -2 to 1"),
        (np.zeros((3, 3), np.uint8), "multi", ["a", "b"], r"shape \[3, 3\]"),
        (np.full((3, 2), 7, np.uint8), "multi", ["a", "b"], "holds 7; valid: 0, 1 and 255"),
        (np.zeros(3), "real", ["a", "b"], r"shape \[3\]"),
        (np.array([0, np.inf, 1]), "real", ["a"], "infinite"),
        (np.zeros(2, int), "class", ["a"], "2 rows; there are 3 nodes"),
        (np.zeros(3, int), "class", ["a", "a"], "repeated"),
    ],
)
def test_labels_that_do_not_fit_their_kind_are_refused(label, kind, names, words):
    with pytest.raises(UserError, match=words):
        check_targets(label, kind, names, 3)


def test_pyg_and_dgl_give_labels_of_every_kind():
    torch, dgl = pytest.importorskip("torch"), pytest.importorskip("dgl")
    ends = np.array([[0, 1, 3], [1, 2, 0]])
    for y, kind in (
        (torch.tensor([0, 1, 1, 0]), "class"),
        (torch.tensor([0.25, 1.5, NAN, 3.0]), "real"),
        (torch.tensor([[0.25], [1.5], [NAN], [3.0]]), "real"),
        (torch.rand(4, 2, dtype=torch.float64) + 0.01, "real"),
        (torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0]]), "multi"),
    ):
        graph = dgl.graph((ends[0], ends[1]), num_nodes=4)
        graph.ndata["label"] = y
        data = SimpleNamespace(edge_index=ends, num_nodes=4, y=y)
        for raw in (from_pyg(data), from_dgl(graph)):
            assert raw.label_kind == kind
            assert len(raw.label) == 4
            raw.check()
    assert from_pyg(data, label_kind="real").label_kind == "real"
    years = SimpleNamespace(edge_index=ends, num_nodes=4, y=torch.tensor([1999, 2001, 1999, 2001]))
    assert from_pyg(years, label_kind="real").counts["nodes_without_label"] == 0
