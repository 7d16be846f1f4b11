"""Frames and folders as people have them: indexes, Series, float16, parts with other endings."""

import bz2
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph

RING = pa.table({"src": list(range(40)), "dst": [(i + 1) % 40 for i in range(40)]})


def edges(raw: RawGraph) -> list[tuple]:
    ends = zip(raw.src.tolist(), raw.dst.tolist(), strict=True)
    return sorted((raw.node_id[s], raw.node_id[d]) for s, d in ends)


def said(capsys) -> str:
    return " ".join(capsys.readouterr().err.split())


# --- pandas


def test_a_named_index_is_columns():
    frame = pd.DataFrame({"src": [5, 6], "dst": [6, 7], "w": [0.5, 2.0]})
    for index in ("src", ["src", "dst"]):
        raw = FileSource(frame.set_index(index), weight_column="w").load()
        assert edges(raw) == [(5, 6), (6, 7)]
        assert sorted(raw.weight.tolist()) == [0.5, 2.0]
    with pytest.raises(UserError, match="cannot insert src, already exists"):
        FileSource(frame.set_index("src", drop=False)).load()


def test_an_index_without_a_name_is_not_read_and_that_is_said_of_text(capsys):
    frame = pd.DataFrame({"src": [5, 6, 7], "dst": [6, 7, 8]})
    assert edges(FileSource(frame[frame["src"] > 5]).load()) == [(6, 7), (7, 8)]
    assert "index" not in said(capsys)
    assert edges(FileSource(frame.set_axis(["a", "b", "c"])).load()) == [(5, 6), (6, 7), (7, 8)]
    assert "the index of the DataFrame has no name, so it is not read" in said(capsys)


def test_a_series_with_a_named_index_is_a_table():
    frame = pd.DataFrame({"id": range(40), "label": [f"c{i % 3}" for i in range(40)]})
    raw = FileSource(RING, labels=frame.set_index("id")["label"]).load()
    assert raw.label.tolist() == [i % 3 for i in range(40)]


def test_a_series_alone_is_one_column():
    polars = pytest.importorskip("polars")
    for one in (pd.Series([1, 2], name="src"), polars.Series("src", [1, 2])):
        with pytest.raises(UserError, match=r"has one column, 'src'; edges need two columns"):
            FileSource(one).load()
    with pytest.raises(UserError, match=r"labels need an id column"):
        FileSource(RING, labels=pd.Series([1, 2], name="label")).load()
    with pytest.raises(UserError, match=r"ChunkedArray cannot be read as a table"):
        FileSource(pa.chunked_array([[1, 2]])).load()


def test_half_precision_is_read(tmp_path):
    half = (np.arange(80) / 8).astype(np.float16).reshape(40, 2)
    frame = pd.DataFrame({"id": range(40), "x": half[:, 0], "y": half[:, 1]})
    lists = pa.table({"id": range(40), "x": pa.array(list(half), pa.list_(pa.float16()))})
    for features in (frame, pa.Table.from_pandas(frame), lists):
        raw = FileSource(RING, features).load()
        np.testing.assert_array_equal(raw.feat, half.astype(np.float32))


# --- folders


def test_files_that_look_like_parts_are_refused_by_name(tmp_path):
    folder = tmp_path / "edges"
    folder.mkdir()
    (folder / "part-00001.csv").write_text("1,2\n")
    for name in ("part-00000", "part-00002.csv.bz2", "part-3.orc", "more.xz"):
        (folder / name).write_bytes(bz2.compress(b"3,4\n"))
        with pytest.raises(UserError, match=rf"have another ending: {name}.*valid: .csv"):
            FileSource(folder).load()
        (folder / name).unlink()
    with pytest.raises(UserError, match=r"unknown ending"):
        (folder / "x.bz2").touch()
        FileSource(str(folder / "*")).load()


def test_other_files_of_a_folder_are_said(tmp_path, capsys):
    folder = tmp_path / "edges"
    (folder / "more").mkdir(parents=True)
    (folder / "a.csv").write_text("1,2\n")
    (folder / "_SUCCESS").touch()
    (folder / "more" / "readme.md").touch()
    (folder / "LICENSE").touch()
    assert edges(FileSource(folder).load()) == [(1, 2)]
    assert "warning: not read in" in (shown := said(capsys))
    assert "LICENSE, more/readme.md" in shown
    assert "_SUCCESS" not in shown


# --- the order of checks


def test_headers_are_checked_before_queries_run_and_copies_are_made(tmp_path, monkeypatch):
    (tmp_path / "mixed.csv").write_text("src,dst\r\n1,2\n3,4\r\n", newline="")
    (tmp_path / "l.csv").write_text("id,label\n1,a\n")
    query = "sql:SELECT 1 AS id, error('the query ran') AS x"
    for edges_given in (tmp_path / "mixed.csv", query):
        with pytest.raises(UserError, match="no column 'wieght'"):
            FileSource(edges_given, labels=query, features=query, weight_column="wieght").load()
    with pytest.raises(UserError, match="a table of splits has a column 'split'"):
        FileSource(query, features=query, splits=tmp_path / "l.csv").load()
    with pytest.raises(UserError, match="the query ran"):
        FileSource(query).load()


def test_a_query_may_end_in_a_comment_and_a_semicolon(tmp_path):
    path: Path = tmp_path / "e.csv"
    path.write_text("a,b\n1,2\n2,3\n")
    query = f"sql:WITH t AS (FROM '{path}') SELECT * FROM t WHERE a > 1 -- later ones;"
    assert edges(FileSource(query).load()) == [(2, 3)]
