"""Text tables as people have them: line breaks in quotes, headers of R, long lines, empty files.

The right values are computed by hand and by Python's csv module.
"""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph
from hvdtma.tables.dialect import TextOptions, find_dialect
from hvdtma.tables.text import joined_lines, with_breaks

RING = "".join(f"{i},{(i + 1) % 40}\n" for i in range(40))


def labels(folder: Path, text: str, **options) -> RawGraph:
    (folder / "e.csv").write_text(RING)
    (folder / "l.csv").write_text(text, newline="")
    return FileSource(folder / "e.csv", labels=folder / "l.csv", **options).load()


def edges_of(path: Path, **options) -> list[tuple]:
    raw = FileSource(path, **options).load()
    ends = zip(raw.src.tolist(), raw.dst.tolist(), strict=True)
    return sorted((raw.node_id[s], raw.node_id[d]) for s, d in ends)


# --- line breaks in quoted fields


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_breaks_in_fields_come_back_and_repeated_headers_are_counted(tmp_path, end):
    rows = ["id,label"]
    for i in range(40):
        rows.append(f'{i}, "two{end}lines, ""or"" more"' if i % 2 else f"{i}, one ")
        rows += ["id,label"] if i == 20 else []
    raw = labels(tmp_path, end.join(rows) + end)
    assert raw.label_names == ["one", f'two{end}lines, "or" more']
    assert raw.label.tolist() == [i % 2 for i in range(40)]
    assert raw.counts["repeated_headers"] == 1


def test_bad_rows_beside_line_breaks_are_counted_shown_and_written_with_their_lines(tmp_path):
    text = 'id,label\n0,a\n1,"b\nb\n\nb"\n2,a,x\n,c\n3,"never closed\n4,a\n5,"b\n\nb",1\n6,a\n'
    with pytest.raises(UserError, match=r"line 7: 3 fields.*2,a,x"):
        labels(tmp_path, text)
    raw = labels(tmp_path, text, bad_rows="skip", bad_rows_file=tmp_path / "bad.csv")
    assert raw.counts["bad_rows_skipped"] == 4
    bad = pd.read_csv(tmp_path / "bad.csv")
    assert bad["line"].tolist() == [7, 8, 9, 11]
    assert bad["text"].tolist() == ["2,a,x", ",c", '3,"never closed', '5,"b\n\nb",1']
    assert [raw.label_names[code] for code in raw.label[:7] if code >= 0] == [
        "a",
        "b\nb\n\nb",
        "a",
        "a",
    ]


def test_bytes_that_are_not_utf8_beside_line_breaks_have_their_line(tmp_path):
    (tmp_path / "e.csv").write_text(RING)
    text = b'id,label\n0,"a\nb"\n1,\xff\n2,"a\nb"\n3,x\n,x\n'
    (tmp_path / "l.csv").write_bytes(text)
    source = FileSource(tmp_path / "e.csv", labels=tmp_path / "l.csv")
    with pytest.raises(UserError, match="line 4: it is not UTF-8"):
        source.load()
    file = tmp_path / "bad.csv"
    skipping = FileSource(
        tmp_path / "e.csv", labels=tmp_path / "l.csv", bad_rows="skip", bad_rows_file=file
    )
    assert skipping.load().label_names == ["a\nb", "x"]
    assert pd.read_csv(file)["line"].tolist() == [4, 8]


FIELD = st.text(st.sampled_from('ab ",\n\r;'), max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), FIELD, FIELD), min_size=1, max_size=6))
def test_joined_lines_are_the_rows_that_pythons_csv_module_reads(tmp_path_factory, rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    path.write_text("id,a,b\n" + out.getvalue(), newline="")
    dialect = find_dialect(path, TextOptions(), ["id"])
    with path.open(newline="") as file:
        lines = list(joined_lines(file, dialect))
    assert len(lines) == 1 + len(rows)
    for line, row in zip(lines[1:], rows, strict=True):
        assert [with_breaks(field) for field in dialect.fields(line)] == list(map(str, row))


# --- headers as R and pandas write them


def test_quoted_fields_set_apart_by_blanks_are_read_as_r_writes_them(tmp_path):
    path = tmp_path / "e.txt"
    path.write_text('"src" "dst"\n"ann lee" "bob"\n"bob" "a ""b"""\n')
    assert edges_of(path) == [("ann lee", "bob"), ("bob", 'a "b"')]
    path.write_text('"src" "dst"\n"ann lee "bob"\n')
    with pytest.raises(UserError, match=r"line 2: a quote is not closed.*--quote none"):
        edges_of(path)


@pytest.mark.parametrize("header", ['"src" "dst"', '"person" "friend"'])
def test_row_names_of_r_are_no_nodes(tmp_path, header):
    path = tmp_path / "e.txt"
    path.write_text(f'{header}\n"1" "ann" "bob"\n"2" "bob" "cy"\n{header}\n"3" "cy" "ann"\n')
    assert edges_of(path) == [("ann", "bob"), ("bob", "cy"), ("cy", "ann")]


def test_an_index_that_pandas_wrote_is_no_end_of_an_edge(tmp_path):
    frame = pd.DataFrame({"person": ["ann", "bob"], "friend": ["bob", "cy"]})
    frame.to_csv(tmp_path / "e.csv")
    path = tmp_path / "e.csv"
    path.write_text(path.read_text() + ",person,friend\n2,cy,ann\n")  # joined files
    assert edges_of(path, header="yes") == [("ann", "bob"), ("bob", "cy"), ("cy", "ann")]
    pd.DataFrame({"id": ["a", "b", "c"], "split": ["train", "valid", "test"]}).to_csv(
        tmp_path / "s.csv"
    )
    (tmp_path / "e.csv").write_text("a,b\nb,c\n")
    raw = FileSource(tmp_path / "e.csv", splits=tmp_path / "s.csv").load()
    assert {part: nodes.tolist() for part, nodes in raw.node_split.items()} == {
        "train": [0],
        "valid": [1],
        "test": [2],
    }


def test_row_names_are_no_features_and_no_labels(tmp_path, capsys):
    (tmp_path / "e.csv").write_text(RING)
    rows = "".join(f'"{2 * i}" {i} {i / 8}\n' for i in range(40))
    (tmp_path / "f.txt").write_text('"id" "x"\n' + rows)
    (tmp_path / "l.csv").write_text(
        ",id,colour\n" + "".join(f"{i},{i},c{i % 2}\n" for i in range(40))
    )
    raw = FileSource(tmp_path / "e.csv", tmp_path / "f.txt", labels=tmp_path / "l.csv").load()
    np.testing.assert_array_equal(raw.feat, [[i / 8] for i in range(40)])
    assert raw.label_names == ["c0", "c1"]
    assert "columns not taken: 1 (it has no name" in " ".join(capsys.readouterr().err.split())


def test_delimiters_at_the_ends_of_rows_are_no_further_column(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("src,dst\n1,2,\n2,3,\n")
    with pytest.raises(UserError, match="line 2: 3 fields, but the lines before have 2"):
        edges_of(path)


# --- lines that are too long, files that are empty


def test_a_line_that_is_too_long_is_said_with_its_number(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("src,dst\na,b\n" + "x" * (5 << 20) + ",b\nb,c\n")
    with pytest.raises(UserError, match="line 3: it is longer than 4 MiB") as error:
        edges_of(path)
    assert len(str(error.value)) < 500
    assert edges_of(path, bad_rows="skip") == [("a", "b"), ("b", "c")]


def test_parts_without_rows_are_skipped_and_counted(tmp_path):
    (tmp_path / "0.csv").write_text("")
    (tmp_path / "1.csv").write_text("person,friend\n")
    (tmp_path / "2.csv").write_text("person,friend\n7,8\n")
    (tmp_path / "3.csv").write_text("person,friend\nx,8\n")  # alone, its header is not sure
    raw = FileSource(str(tmp_path / "*.csv")).load()
    assert raw.node_id.to_list() == ["7", "8", "x"]
    assert raw.num_edges == 2
    assert raw.counts["inputs_without_rows"] == 2
    for part in tmp_path.glob("[123].csv"):
        part.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        FileSource(str(tmp_path / "*.csv")).load()


def test_parquet_parts_without_rows_are_skipped_whatever_their_types(tmp_path):
    frame = pd.DataFrame({"src": [1, 2], "dst": [2, 3]})
    frame.to_parquet(tmp_path / "1.parquet", index=False)
    frame[:0].to_parquet(tmp_path / "0.parquet", index=False)
    frame[:0].astype(object).to_parquet(tmp_path / "2.parquet", index=False)
    raw = FileSource(str(tmp_path / "*.parquet")).load()
    assert raw.node_id.to_list() == [1, 2, 3]
    assert raw.counts["inputs_without_rows"] == 2
    frame[:0].to_parquet(tmp_path / "1.parquet", index=False)
    with pytest.raises(UserError, match="no edge"):
        FileSource(str(tmp_path / "*.parquet")).load()


def test_a_table_of_numbers_keeps_every_value_beside_line_breaks(tmp_path):
    rows = [f'{i},"{i / 8}\n"' if i % 3 else f"{i},{i / 8}" for i in range(40)]
    (tmp_path / "f.csv").write_text("id,x\n" + "\n".join(rows) + "\n")
    (tmp_path / "e.csv").write_text(RING)
    raw = FileSource(tmp_path / "e.csv", tmp_path / "f.csv").load()
    np.testing.assert_array_equal(raw.feat[:, 0], [i / 8 for i in range(40)])
