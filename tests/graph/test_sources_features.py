"""Every node gets its own row of features, whatever the file; what cannot be placed is refused."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph


def load(folder, features, edges: str = "0,1\n2,1\n", **columns) -> RawGraph:
    (folder / "edges.csv").write_text(edges)
    return FileSource(folder / "edges.csv", folder / features, **columns).load()


def rows(raw: RawGraph) -> dict:
    """Features by the user's id."""
    dense = raw.feat if isinstance(raw.feat, np.ndarray) else raw.feat.toarray()
    return dict(zip(raw.node_id.to_list(), dense.tolist(), strict=True))


DENSE = np.array([[0.5, 1], [2, 3], [4, 5], [6, 7]])


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_row_i_of_an_array_belongs_to_the_id_i(tmp_path, kind):
    np.save(tmp_path / "f.npy", DENSE.astype(kind))
    raw = load(tmp_path, "f.npy")
    assert rows(raw) == dict(enumerate(DENSE.tolist()))
    assert raw.feat.dtype == (np.float16 if kind == np.float16 else np.float32)
    assert raw.counts["nodes_without_edges"] == 1
    assert raw.counts["ids_without_features"] == 0


def test_integers_and_booleans_are_features(tmp_path):
    for values in (np.eye(4, dtype=bool), np.eye(4, dtype=np.int8)):
        np.savez(tmp_path / "f.npz", values)
        assert rows(load(tmp_path, "f.npz")) == dict(enumerate(np.eye(4).tolist()))


def test_a_sparse_matrix_stays_sparse(tmp_path):
    sp.save_npz(tmp_path / "f.npz", sp.coo_matrix(DENSE))
    raw = load(tmp_path, "f.npz")
    assert sp.issparse(raw.feat)
    assert rows(raw) == dict(enumerate(DENSE.tolist()))


@pytest.mark.parametrize("sparse", [False, True])
def test_features_of_the_wrong_length_name_both_numbers(tmp_path, sparse):
    if sparse:
        sp.save_npz(tmp_path / "f.npz", sp.csr_matrix(np.ones((3, 2))))
    else:
        np.savez(tmp_path / "f.npz", np.ones((3, 2)))
    with pytest.raises(UserError, match=r"wrong length: .* 3 rows.* to 7: give 8 rows"):
        load(tmp_path, "f.npz", "0,1\n7,1\n")
    with pytest.raises(UserError, match="from -1 to 1"):
        load(tmp_path, "f.npz", "0,1\n-1,1\n")


def test_rows_by_number_do_not_fit_string_ids(tmp_path):
    np.save(tmp_path / "f.npy", DENSE)
    with pytest.raises(UserError, match=r"ids are strings; use Parquet, CSV, JSON"):
        load(tmp_path, "f.npy", "a,b\nb,a\n")


@pytest.mark.parametrize("edges", ["7,8\n9,8\n", "seven,8\n9,8\n"])
def test_npz_with_ids_is_keyed_by_id(tmp_path, edges):
    first = edges.split(",")[0]
    ids = np.array(["9", "5", first]) if first == "seven" else np.array([9, 5, 7])
    np.savez(tmp_path / "f.npz", ids=ids, feat=DENSE[:3])
    raw = load(tmp_path, "f.npz", edges)
    kind = str if first == "seven" else int
    expected = {9: [0.5, 1], 5: [2, 3], 7: [4, 5], 8: [0, 0]}
    expected["seven"] = expected[7]
    assert rows(raw) == {id: expected[id if id == "seven" else int(id)] for id in rows(raw)}
    assert set(rows(raw)) == {kind(first), kind(8), kind(9), kind(5)}
    assert raw.counts["ids_without_features"] == 1
    assert raw.counts["nodes_without_edges"] == 1


def test_parquet_takes_every_column_of_numbers(tmp_path):
    table = {"name": ["x", "y"], "b": [1, 2], "node": [2, 0], "a": [0.5, 1.5], "c": [True, False]}
    pq.write_table(pa.table(table), tmp_path / "f.parquet")
    raw = load(tmp_path, "f.parquet")
    assert rows(raw) == {0: [2, 1.5, 0], 1: [0, 0, 0], 2: [1, 0.5, 1]}
    assert raw.counts["feature_columns_left_out"] == 1


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.int32()), pa.list_(pa.float32(), 2)]
)
def test_parquet_takes_one_column_of_lists(tmp_path, kind):
    table = pa.table({"key": [1, 0, 2], "vec": pa.array([[1, 2], [3, 4], [5, 6]], kind)})
    pq.write_table(table, tmp_path / "f.parquet")
    assert rows(load(tmp_path, "f.parquet")) == {1: [1, 2], 0: [3, 4], 2: [5, 6]}


def test_id_column_is_chosen_by_name(tmp_path):
    pq.write_table(pa.table({"id": [5, 6], "other": [0, 1]}), tmp_path / "f.parquet")
    assert rows(load(tmp_path, "f.parquet", id_column="other")) == {0: [5], 1: [6], 2: [0]}


@pytest.mark.parametrize("name", ["f.json", "f.json.gz"])
def test_json_lists_of_feature_ids_become_binary_columns(tmp_path, name):
    text = json.dumps({"2": [30, 4, 30], "0": [], "8": [4, 100]}).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    raw = load(tmp_path, name)
    assert sp.issparse(raw.feat)
    assert rows(raw) == {0: [0, 0, 0], 1: [0, 0, 0], 2: [1, 1, 0], 8: [1, 0, 1]}
    assert raw.counts["ids_without_features"] == 1


def test_json_feature_ids_may_be_strings(tmp_path):
    (tmp_path / "f.json").write_text(json.dumps({"ö": ["b", "a"], "x,y": ["b"]}))
    assert rows(load(tmp_path, "f.json", '"x,y",ö\nö,"x,y"\n')) == {"ö": [1, 1], "x,y": [0, 1]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"0": [1, "a"]}', "list of .0. holds 1; feature ids"),
        ('{"0": [1], "1": [2.5]}', "list of .1. holds 2.5"),
        ('{"0": [1], "1": [true]}', "list of .1. holds true"),
        ('{"0": [1], "1": [null]}', "list of .1. holds null"),
        ('{"0": [1], "1": [[2]]}', r"list of .1. holds \[2\]"),
        ('{"0": [1], "1": 2}', "features of .1. are not a list"),
        ('{"0": {"a": 1}}', "features of .0. are not a list"),
        ('{"0": []}', "every list of features is empty"),
        ('{"0": [1], "0": [2]}', "several rows of features for the id .0."),
        ("[[0, [1]]]", "must be one JSON object"),
        ("{}", "must be one JSON object"),
        ('{"0": [1]', "is not JSON"),
        ('{"zero": [1]}', "none of its ids is in the graph; its first id is 'zero'"),
        ('{"7": [1]}', "none of its ids is in the graph"),
        ('{"0": [100000000000000000000]}', "cannot be kept"),
        ('{"\\ud800": [1]}', "not UTF-8"),
    ],
)
def test_json_that_holds_no_feature_lists_says_why(tmp_path, text, words):
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(UserError, match=words):
        load(tmp_path, "f.json")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"id": [0, 1], "v": [[1.0, 2.0], [1.0]]}, "ragged lists: 2 values for '0', 1 for '1'"),
        ({"id": [0, 1], "v": [[1.0, 2.0], None]}, "ragged lists"),
        ({"id": [0, 1], "v": [["a"], ["b"]]}, "lists of varchar"),
        ({"id": [0, 1], "v": [["a", "b"], ["b"]]}, "lists of varchar"),
        ({"id": [0, 1], "name": ["x", "y"]}, "2 different texts"),
        ({"id": [0, 0], "v": [1, 2]}, "several rows of features for the id '0'"),
        ({"id": [0, None], "v": [1, 2]}, "row 2 has no id"),
        ({"id": [0, 1], "v": [1.0, None]}, "feature 'v' of node 1 is NaN"),
        ({"id": [0, 1], "v": [[1.0], [None]]}, "feature 0 of node 1 is NaN"),
        ({"id": [0.5], "v": [1.0]}, "integers or strings"),
    ],
)
def test_parquet_that_holds_no_features_says_why(tmp_path, table, words):
    pq.write_table(pa.table(table), tmp_path / "f.parquet")
    with pytest.raises(UserError, match=words):
        load(tmp_path, "f.parquet")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.ones(4)}, r"\[nodes, features\]"),
        ({"a": np.ones((4, 0))}, r"\[nodes, features\]"),
        ({"a": np.full((4, 1), "x")}, r"\[nodes, features\]"),
        ({"a": np.ones((4, 1), complex)}, r"\[nodes, features\]"),
        ({"a": np.ones((4, 1)), "b": np.ones((4, 1))}, "holds a, b"),
        ({"ids": np.arange(3), "feat": np.ones((4, 1))}, "3 ids but 4 rows"),
        ({"ids": np.zeros(4, int), "feat": np.ones((4, 1))}, "several rows"),
    ],
)
def test_npz_that_holds_no_features_says_why(tmp_path, arrays, words):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(UserError, match=words):
        load(tmp_path, "f.npz")


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "f.npz", np.array([{"a": 1}], object))
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path, "f.npz")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_value_that_is_not_finite_is_named(tmp_path, bad, sparse):
    values = DENSE.copy()
    values[2, 1] = bad
    if sparse:
        sp.save_npz(tmp_path / "f.npz", sp.csr_matrix(values))
    else:
        np.savez(tmp_path / "f.npz", values)
    with pytest.raises(UserError, match="feature 1 of node 2 is NaN, infinite"):
        load(tmp_path, "f.npz")
    np.savez(tmp_path / "keyed.npz", ids=[0, 1, 77, 2], feat=values)
    with pytest.raises(UserError, match="feature 1 of node 77 is NaN, infinite"):
        load(tmp_path, "keyed.npz")


def test_unknown_id_column_lists_the_columns(tmp_path):
    pq.write_table(pa.table({"id": [0], "v": [1]}), tmp_path / "f.parquet")
    with pytest.raises(UserError, match="no column 'nid'; valid: id, v; did you mean 'id'"):
        load(tmp_path, "f.parquet", id_column="nid")


def test_missing_and_unknown_files_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="there is no features file"):
        load(tmp_path, "absent.npy")
    with pytest.raises(UserError, match=r"unknown ending; valid: \.npy"):
        load(tmp_path, "f.docx")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12, unique=True),
    st.integers(1, 4),
    st.data(),
)
def test_keyed_features_follow_their_ids_in_any_order(tmp_path_factory, ids, dim, data):
    folder = tmp_path_factory.mktemp("keyed")
    numbers = st.floats(-100, 100, width=32)
    feat = data.draw(hnp.arrays(np.float32, (len(ids), dim), elements=numbers))
    np.savez(folder / "f.npz", ids=np.array(ids), feat=feat)
    raw = load(folder, "f.npz", f"{ids[0]},{ids[-1]}\n")
    assert rows(raw) == dict(zip(ids, feat.tolist(), strict=True))
