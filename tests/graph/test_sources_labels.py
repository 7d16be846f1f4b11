"""Labels find their nodes; quoted text of any kind is read as written."""

import csv
import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph


def load(folder, text: str, edges: str = "0,1\n2,1\n", name="labels.csv", **columns) -> RawGraph:
    (folder / "edges.csv").write_text(edges)
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    return FileSource(folder / "edges.csv", labels=folder / name, **columns).load()


def labels(raw: RawGraph) -> dict:
    names = [raw.label_names[code] if code >= 0 else None for code in raw.label]
    return dict(zip(raw.node_id.to_list(), names, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "0,b\n2,a\n",
        "id,label\n2,a\n0,b\n",
        "page,label\n2,a\n0,b\n",
        'id,text,label\n2,"one, ""two""\nthree",a\n0,四,b\n',
        "2\ta\n0\tb\n",
    ],
)
@pytest.mark.parametrize("name", ["labels.csv", "labels.csv.gz"])
def test_labels_of_every_usual_layout_find_their_nodes(tmp_path, text, name):
    raw = load(tmp_path, text, name=name)
    assert labels(raw) == {0: "b", 1: None, 2: "a"}
    assert raw.label_names == ["a", "b"]
    assert raw.label.dtype == np.int64
    assert raw.counts["nodes_without_label"] == 1


def test_columns_are_chosen_by_name(tmp_path):
    text = "a,kind,key\n5,x,0\n6,y,1\n"
    raw = load(tmp_path, text, id_column="key", label_column="kind")
    assert labels(raw) == {0: "x", 1: "y", 2: None}


def test_integer_labels_sort_as_numbers(tmp_path):
    assert load(tmp_path, "0,10\n1,9\n").label_names == ["9", "10"]


def test_labels_of_unknown_ids_are_dropped_and_counted(tmp_path):
    raw = load(tmp_path, "0,a\n50,b\n51,c\n")
    assert labels(raw) == {0: "a", 1: None, 2: None}
    assert raw.counts["labels_of_unknown_ids"] == 2


def test_an_empty_label_is_none(tmp_path):
    assert labels(load(tmp_path, "0,a\n1,\n")) == {0: "a", 1: None, 2: None}


def test_the_same_label_twice_is_one_and_counted(tmp_path):
    raw = load(tmp_path, "0,a\n0,a\n1,b\n")
    assert labels(raw) == {0: "a", 1: "b", 2: None}
    assert raw.counts["labels_repeated"] == 1


def test_string_ids_keep_their_labels(tmp_path):
    raw = load(tmp_path, '"x,y",1\n007,2\n', '"x,y",007\n7,007\n')
    assert labels(raw) == {"x,y": "1", "007": "2", "7": None}


@pytest.mark.parametrize(
    ("text", "said", "words"),
    [
        ("0,a\n0,b\n", {}, "node '0' has the labels '[ab]' and '[ab]'"),
        ("70,a\n71,b\n", {}, "none of its ids is in the graph .its first id is '70'"),
        ("id,label\n", {}, "no rows"),
        ("0,a\n1\n", {}, "line 2: 1 fields"),
        ('id,t,label\n0,"x\ny",a\n1,b\n', {}, "line 4: 2 fields"),
        ("id,label\n0,a\n,b\n", {}, "line 3: column 'id' is empty"),
        ("id,label\n0,a\n", {"label_column": "labl"}, "valid: id, label; did you mean 'label'"),
        ("id,label\n0,a\n", {"id_column": "page"}, "valid: id, label"),
        ("0\n1\n", {}, "two or more columns"),
        ("", {}, "is empty"),
    ],
)
def test_what_cannot_be_labels_says_why(tmp_path, text, said, words):
    with pytest.raises(UserError, match=words):
        load(tmp_path, text, **said)


def test_missing_and_unknown_files_are_user_errors(tmp_path):
    (tmp_path / "edges.csv").write_text("0,1\n")
    with pytest.raises(UserError, match="there is no labels file"):
        FileSource(tmp_path / "edges.csv", labels=tmp_path / "absent.csv").load()
    with pytest.raises(UserError, match=r"unknown ending; valid: \.csv"):
        FileSource(tmp_path / "edges.csv", labels=tmp_path / "labels.docx").load()


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT.filter(bool)), min_size=1, max_size=10))
def test_any_text_beside_a_label_and_in_it_is_read_as_written(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("labels")
    (folder / "edges.csv").write_text("".join(f"{i},0\n" for i in range(len(rows))))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "text", "label"])
        writer.writerows([i, text, label] for i, (text, label) in enumerate(rows))
    raw = FileSource(
        folder / "edges.csv", labels=folder / "labels.csv", missing_labels=False, label_kind="class"
    ).load()
    assert labels(raw) == {i: label for i, (_, label) in enumerate(rows)}
