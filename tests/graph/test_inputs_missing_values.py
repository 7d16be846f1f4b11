"""Missing and odd values of labels, features, weights and times: refused, filled or counted.

The right values are computed by NumPy.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.label_values import targets_of
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import NO_TIME

RING = pa.table({"src": list(range(40)), "dst": [(i + 1) % 40 for i in range(40)]})


def text_file(path: Path, *columns: str) -> Path:
    """A text table with semicolons: the number of the row, and the columns, named a, b, ..."""
    names = [chr(ord("a") + at) for at in range(len(columns[0].split(";")))]
    rows = [f"{i};{columns[i % len(columns)]}" for i in range(40)]
    path.write_text("\n".join([";".join(["id", *names]), *rows]) + "\n")
    return path


# --- times of nodes


def times(folder: Path, *given: str, **options) -> RawGraph:
    rows = "".join(f"{i},{'ab'[i % 2]},{time}\n" for i, time in enumerate(given))
    (folder / "l.csv").write_text("id,label,when\n" + rows)
    return FileSource(RING, labels=folder / "l.csv", time_column="when", **options).load()


def test_times_of_nodes_that_cannot_be_read_are_bad_rows(tmp_path):
    given = ["2020-01-01", "2021-03-01", "soon", "1970-01-02"]
    with pytest.raises(UserError, match=r"line 4: column 'when' is no time.*2,a,soon"):
        times(tmp_path, *given)
    raw = times(tmp_path, *given, bad_rows="skip")
    assert raw.counts["bad_rows_skipped"] == 1
    assert raw.node_time[:4].tolist() == [1577836800, 1614556800, NO_TIME, 86400]


def test_nodes_without_a_time_are_counted(tmp_path):
    raw = times(tmp_path, "2020", "", "NA", "2022")
    assert raw.node_time[:4].tolist() == [2020, NO_TIME, NO_TIME, 2022]
    assert raw.counts["nodes_without_time"] == 38
    table = pa.table({"id": [0, 1], "label": ["a", "b"], "when": [7.0, float("nan")]})
    raw = FileSource(RING, labels=table, time_column="when").load()
    assert raw.node_time[:2].tolist() == [7, NO_TIME]


@pytest.mark.parametrize("given", ["1.5", "1e9", "x", "99999999999999999999", "2020-13-01"])
def test_times_of_edges_that_cannot_be_kept_are_bad_rows(tmp_path, given):
    (tmp_path / "e.csv").write_text(f"src,dst,when\n1,2,7.0\n2,3,-9007199254740993\n3,4,{given}\n")
    with pytest.raises(UserError, match=r"line 4: column 'when' is no time: a whole number or a d"):
        FileSource(tmp_path / "e.csv", time_column="when").load()
    raw = FileSource(tmp_path / "e.csv", time_column="when", bad_rows="skip").load()
    assert raw.time.tolist() == [7, -9007199254740993]
    table = pa.table({"src": [1, 2], "dst": [2, 3], "when": [7.0, 7.5]})
    with pytest.raises(UserError, match="row 2 column 'when' is no time"):
        FileSource(table, time_column="when").load()


def test_a_node_with_two_times_is_refused(tmp_path):
    table = pa.table({"id": [3, 4, 3], "label": ["a", "b", "a"], "when": [7, 8, 9]})
    with pytest.raises(UserError, match=r"node '3' has the times '\[[79]\]' and '\[[79]\]'"):
        FileSource(RING, labels=table, time_column="when").load()


# --- decimal commas


def test_numbers_with_a_comma_are_refused_by_name(tmp_path):
    file = text_file(tmp_path / "t.csv", "1,5;x", "2;y", "-0,25;x")
    words = r"column 'a' .* numbers with a comma, such as '-0,25'; write them with a decimal point"
    with pytest.raises(UserError, match=words):
        FileSource(RING, file).load()
    with pytest.raises(UserError, match=words):
        FileSource(RING, labels=file, label_column="a").load()
    raw = FileSource(RING, labels=file, label_column="a", label_kind="class").load()
    assert raw.label_names == ["-0,25", "1,5", "2"]
    text_file(tmp_path / "t.csv", "1.234,5", "1,000", "7")
    with pytest.raises(UserError, match="numbers with a comma"):
        FileSource(RING, file).load()
    with pytest.raises(UserError, match="line 2: column '3' has numbers with a comma"):
        (tmp_path / "e.csv").write_text("1;2;3\n1;2;0,5\n")
        FileSource(tmp_path / "e.csv", weight_column="3", header="yes").load()


def test_texts_with_commas_are_categories(tmp_path):
    raw = FileSource(RING, text_file(tmp_path / "t.csv", "1,5 kg", "a,b")).load()
    np.testing.assert_array_equal(raw.feat, np.eye(2)[[i % 2 for i in range(40)]])


# --- lists


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_missing_lists_and_values_of_lists_are_filled_and_counted(fill):
    lists = [[i / 4, i * 1.0, -1.0] for i in range(40)]
    lists[3], lists[5][1], lists[7][2] = None, None, float("nan")
    table = pa.table({"id": range(40), "x": lists, "y": [float(i % 7) for i in range(40)]})
    with pytest.raises(UserError, match=r"column 'x'.*'3' has none; .*--fill-missing mean"):
        FileSource(RING, table).load()
    expected = np.array([[np.nan] * 3 if row is None else row for row in lists], float)
    filler = np.nanmean(expected, 0) if fill == "mean" else np.zeros(3)
    expected = np.where(np.isnan(expected), filler, expected)
    raw = FileSource(RING, table, fill_missing=fill).load()
    np.testing.assert_allclose(raw.feat[:, :3], expected, rtol=1e-6)
    assert raw.counts["feature_values_filled"] == 5
    table = pa.table({"id": range(40), "x": pa.array(lists, pa.list_(pa.float32(), 3))})
    raw = FileSource(RING, table, fill_missing=fill).load()
    np.testing.assert_allclose(raw.feat, expected, rtol=1e-6)


# --- one rule for the kind of labels


@pytest.mark.parametrize(
    "values",
    [
        [i % 3 for i in range(40)],
        [float(i % 3) for i in range(40)],
        [i % 3 - 1 for i in range(40)],
        [float(i % 3 - 1) for i in range(40)],
        [float(i % 3 - 2) for i in range(40)],
        [i / 8 for i in range(40)],
        [float(i) for i in range(40)],
        [i % 2 == 0 for i in range(40)],
        [None if i % 4 else float(i % 3) for i in range(40)],
        [[i % 2, i % 3 == 0] for i in range(40)],
        [[i / 2 + 0.25, i / 3] for i in range(40)],
        [[i % 2, i / 3] for i in range(40)],
        [[i, i + 1] for i in range(40)],
        list(range(40)),
    ],
)
def test_files_and_arrays_give_the_same_labels_or_errors(tmp_path, values):
    columns = np.array(values, float if None in values else None).reshape(40, -1)
    frame = pd.DataFrame({f"{at}": column for at, column in enumerate(columns.T)})
    if columns.dtype == float and frame.shape[1] > 1:  # NumPy has one type for all columns
        frame = frame.astype(float)
    frame.insert(0, "id", range(40))
    frame.to_csv(tmp_path / "l.csv", index=False)
    named = [f"{at}" for at in range(columns.shape[1])]
    try:
        expected, words = targets_of(columns, "here", names=named), ""
    except UserError as error:
        words = str(error).split("(")[0].removeprefix("here")[:30]
    for given in (frame, tmp_path / "l.csv"):
        source = FileSource(RING, labels=given, label_column=named, header="yes")
        if words:
            with pytest.raises(UserError, match=words):
                source.load()
            continue
        raw = source.load()
        assert raw.label_kind == expected.kind
        np.testing.assert_array_equal(raw.label, expected.label)
        if expected.kind != "class" or columns.dtype != bool:
            assert raw.label_names == expected.names


def test_booleans_are_classes_by_their_names_or_several_labels(tmp_path):
    frame = pd.DataFrame({"id": range(40), "a": [i % 2 == 0 for i in range(40)]})
    frame["b"] = frame["id"] % 3 == 0
    frame.to_csv(tmp_path / "l.csv", index=False)
    for given in (frame, tmp_path / "l.csv"):
        raw = FileSource(RING, labels=given, label_column=["a", "b"]).load()
        assert raw.label_kind == "multi"
        np.testing.assert_array_equal(raw.label, frame[["a", "b"]].to_numpy(int))
        raw = FileSource(RING, labels=given, label_column="a").load()
        assert [raw.label_names[code].lower() for code in raw.label[:2]] == ["true", "false"]
