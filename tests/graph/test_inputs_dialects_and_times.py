"""Dialects and times of users' files: which line is a header, which delimiter, which instant.

The right values are computed by hand, and by Python's datetime and zoneinfo.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph

RING = "".join(f"{i},{(i + 1) % 8}\n" for i in range(8))


def load(folder: Path, text: str, name: str = "edges.csv", **options) -> RawGraph:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return FileSource(folder / name, **options).load()


def edges(raw: RawGraph) -> list[tuple]:
    ends = zip(raw.src.tolist(), raw.dst.tolist(), strict=True)
    return sorted((raw.node_id[s], raw.node_id[d]) for s, d in ends)


def times(raw: RawGraph) -> dict:
    """The time of each edge, by its first end."""
    return dict(zip([raw.node_id[s] for s in raw.src], raw.time.tolist(), strict=True))


# --- times


def seconds(text: str, zone: str = "UTC") -> int:
    """Seconds since 1970 by Python's datetime; a text without an offset is in a zone."""
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).timestamp())


TIMES = {
    "2024-01-02T03:00:00-12:00": seconds("2024-01-02T15:00:00"),
    "2024-01-02T03:00:00Z": seconds("2024-01-02T03:00:00"),
    "2024-01-02 03:00:00+0530": seconds("2024-01-01T21:30:00"),
    "2024-01-02 03:00:00.5 +0200": seconds("2024-01-02T01:00:00"),  # as git writes it
    "2024-01-02 03:00:00 Europe/Berlin": seconds("2024-01-02T03:00:00", "Europe/Berlin"),
    "2024-07-02 03:00:00 Europe/Berlin": seconds("2024-07-02T03:00:00", "Europe/Berlin"),
    "2024-07-02 03:00 America/Argentina/Buenos_Aires": seconds(
        "2024-07-02T03:00:00", "America/Argentina/Buenos_Aires"
    ),
    "2024-01-02 03:00:00 UTC": seconds("2024-01-02T03:00:00"),
    "2024/1/2": seconds("2024-01-02"),
}


def test_offsets_and_zones_of_times_count(tmp_path):
    rows = "".join(f"{i},{i + 1},{when}\n" for i, when in enumerate(TIMES))
    raw = load(tmp_path, "src,dst,when\n" + rows, time_column="when")
    assert list(times(raw).values()) == list(TIMES.values())
    frame = pd.DataFrame({"src": range(9), "dst": range(1, 10), "when": pd.Categorical(TIMES)})
    assert list(times(FileSource(frame, time_column="when").load()).values()) == [*TIMES.values()]


@pytest.mark.parametrize(
    "when",
    ["01/02/2024", "2024-01-02 03:00:00 BST", "2024-01-02 03:00:00 PM", "epoch", "infinity",
     "2024-01-02 03:00:00 Nowhere/Land", "2024-02-30"],
)  # fmt: skip
def test_texts_that_are_no_sure_time_are_refused_with_the_forms_that_are_read(tmp_path, when):
    with pytest.raises(UserError, match=r"line 2: column 'when' is no time.*2024-01-31T13:45:00"):
        load(tmp_path, f"src,dst,when\n1,2,{when}\n2,3,2024-01-02\n", time_column="when")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_times_do_not_depend_on_the_zone_of_the_machine(tmp_path, zone):
    code = """
import pandas as pd
from hvdtma.graph.ingest import FileSource
aware = pd.DataFrame({"src": [0], "dst": [1], "when": pd.to_datetime(["2024-01-02T03:00-12:00"])})
naive = pd.DataFrame({"src": [1], "dst": [2], "when": pd.to_datetime(["2024-01-02T03:00"])})
text = pd.DataFrame({"src": [2], "dst": [3], "when": ["2024-01-02T03:00:00+03:00"]})
raw = FileSource([aware, naive, text], time_column="when").load()
raws = FileSource([aware], time_column="when").load()
print(*raw.time[raw.src.argsort()].tolist(), *raws.time.tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TZ": zone}, capture_output=True, text=True
    )
    noon = [datetime(2024, 1, 2, hour, tzinfo=UTC) for hour in (15, 3, 0, 15)]
    assert done.stdout.split() == [str(int(when.timestamp())) for when in noon], done.stderr


def test_whole_numbers_and_dates_in_one_column_of_times_are_refused(tmp_path):
    for number in ("2024", "20240204", "7.0"):
        with pytest.raises(UserError, match=rf"'when' of .*\(1, such as '{number}'\).*as dates"):
            load(tmp_path, f"src,dst,when\n1,2,2024-01-02\n2,3,{number}\n", time_column="when")
    frames = [
        pa.table({"src": [0], "dst": [1], "when": [2024]}),
        pa.table({"src": [1], "dst": [2], "when": [datetime(2024, 1, 2)]}),
    ]
    with pytest.raises(UserError, match=r"whole numbers .* and dates"):
        FileSource(frames, time_column="when").load()
    (tmp_path / "e.csv").write_text(RING)
    (tmp_path / "l.csv").write_text("id,label,when\n0,a,2024\n1,b,2024-01-01\n2,a,\n")
    with pytest.raises(UserError, match=r"whole numbers .* and dates"):
        FileSource(tmp_path / "e.csv", labels=tmp_path / "l.csv", time_column="when").load()


def test_whole_numbers_of_any_size_are_times_as_they_are(tmp_path):
    rows = "1,2,9007199254740993\n2,3,-5\n3,4,+7\n4,5,20240204.0\n"
    raw = load(tmp_path, "src,dst,when\n" + rows, time_column="when")
    assert times(raw) == {1: 9007199254740993, 2: -5, 3: 7, 4: 20240204}


# --- headers


def given(folder: Path, what: str, text: str, name: str = "t.csv", **options) -> RawGraph:
    """A ring of 8 nodes, with features or labels."""
    (folder / "ring.csv").write_text(RING)
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return FileSource(folder / "ring.csv", **{what: folder / name}, **options).load()


def test_the_first_row_of_features_without_a_header_is_kept(tmp_path):
    rows = [[0, float("nan"), 1.0], *([i, 1.5 * i, 1.25] for i in range(1, 8))]
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    raw = given(tmp_path, "features", text, fill_missing="zero")
    assert raw.feat.tolist() == [[0, 1.0], *([1.5 * i, 1.25] for i in range(1, 8))]


def test_the_first_row_of_labels_without_a_header_is_kept(tmp_path):
    raw = given(tmp_path, "labels", "0,red\n" + "".join(f"{i},{i % 2}\n" for i in range(1, 8)))
    assert [raw.label_names[code] for code in raw.label] == ["red", *"1010101"]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("labels", "0,y\n1,n\n2,y\n"),  # y is a usual name of a label
        ("labels", "ann,y\nbob,n\ncy,y\n"),
        ("labels", "ann,red\nbob,blue\n"),
        ("features", "ann,red,1\nbob,2,3\n"),
        ("features", "ann,2019,2020\n7,1.5,2\n8,2.5,2\n"),
    ],
)
def test_first_lines_that_may_be_rows_are_asked_about(tmp_path, what, text):
    with pytest.raises(UserError, match="may be a header or a row; give --header yes"):
        given(tmp_path, what, text)


def test_the_first_edge_is_no_header_because_the_second_has_integers(tmp_path):
    assert edges(load(tmp_path, "a,b\n1,2\nb,c\n")) == [("1", "2"), ("a", "b"), ("b", "c")]
    with pytest.raises(UserError, match="may be a header or an edge"):
        load(tmp_path, "a,b\n1,2\nx,c\n")
    with pytest.raises(UserError, match="may be a header or a row"):
        load(tmp_path, "u,v\nv,w\nu,w\n")  # letters are nodes, and usual names of ends
    assert len(load(tmp_path, "u,v\nv,w\nu,w\n", header="no").src) == 3
    assert edges(load(tmp_path, "person,friend\n1,2\nNA,3\n", bad_rows="skip")) == [(1, 2)]


def test_numbers_as_names_of_feature_columns_are_a_header_beside_the_ids(tmp_path):
    rows = "".join(f"{i},{i / 8},{i * i}\n" for i in range(8))
    raw = given(tmp_path, "features", "id,0,1\n" + rows)
    assert raw.feat.tolist() == [[i / 8, i * i] for i in range(8)]


# --- missing words as ids


@pytest.mark.parametrize("word", ["nan", "NA", "NULL", "\\N", "<NA>", "None"])
def test_missing_words_among_integers_are_bad_rows_unless_ids_are_text(tmp_path, word):
    text = f"src,dst\n1,2\n{word},3\n2,3\n"
    with pytest.raises(
        UserError, match=r"line 3: column 'src' has a word for a missing value.*str"
    ):
        load(tmp_path, text)
    raw = load(tmp_path, text, bad_rows="skip")
    assert edges(raw) == [(1, 2), (2, 3)]
    assert raw.counts["bad_rows_skipped"] == 1
    assert (word, "3") in edges(load(tmp_path, text, id_type="str"))
    frame = pd.DataFrame({"src": ["1", word, "2"], "dst": ["2", "3", "3"]})
    with pytest.raises(UserError, match="row 2 column 'src' has a word for a missing value"):
        FileSource(frame).load()
    with pytest.raises(UserError, match="row 2 column 'src' has a word for a missing value"):
        FileSource(frame.astype("category")).load()


def test_missing_words_among_integers_that_pandas_wrote_with_a_point_are_no_names(tmp_path):
    text = "src,dst\n1.0,2\nnan,3\n2.0,3\n"
    with pytest.raises(UserError, match="line 3: column 'src' has a word for a missing value"):
        load(tmp_path, text)
    with pytest.raises(UserError, match="decimal point"):
        load(tmp_path, text, bad_rows="skip")
    assert edges(load(tmp_path, text, bad_rows="skip", id_type="int")) == [(1, 2), (2, 3)]


@pytest.mark.parametrize("what", ["features", "labels"])
def test_missing_words_among_integers_are_bad_rows_of_features_and_labels(tmp_path, what):
    text = "id,x\n" + "".join(f"{i},{i % 3}\n" for i in range(8)) + "NA,1\n"
    with pytest.raises(UserError, match=r"line 10: column 'id' has a word for a missing value"):
        given(tmp_path, what, text)
    assert given(tmp_path, what, text, bad_rows="skip").counts["bad_rows_skipped"] == 1


def test_missing_words_among_names_are_warned_of(tmp_path, capsys):
    raw = load(tmp_path, "src,dst,kind\nDE,NA,null\nFR,DE,x\n",
               type_column="kind")  # fmt: skip
    assert edges(raw) == [("DE", "NA"), ("FR", "DE")]
    shown = " ".join(capsys.readouterr().err.split())
    assert "has 'NA' (1 times), which may stand for missing values" in shown
    assert "has 'null' (1 times), which may stand for missing values" in shown


# --- comments before the table


def test_lines_before_the_table_that_may_be_rows_are_asked_about(tmp_path):
    text = "#a,b1\n#c,b2\n" + "".join(f"b{i},b{i + 1}\n" for i in range(40))
    with pytest.raises(UserError, match=r"2 lines before .* '#a,b1', may be comments or rows"):
        load(tmp_path, text)
    raw = load(tmp_path, text, comment="none")
    assert raw.num_edges == 42
    raw = load(tmp_path, text, comment="#")
    assert (raw.num_edges, raw.counts["comment_lines"]) == (40, 2)
    with pytest.raises(UserError, match=r"empty but for 2 lines .* --comment none"):
        load(tmp_path, "#a,#b\n#b,#c\n")


def test_comments_before_the_table_are_counted_and_an_unclear_one_is_shown(tmp_path, capsys):
    snap = "# Nodes: 3 Edges: 2\n# FromNodeId\tToNodeId\n1\t2\n# more\n2\t3\n"
    raw = load(tmp_path, snap, "e.txt")
    assert (edges(raw), raw.counts["comment_lines"]) == ([(1, 2), (2, 3)], 3)
    assert load(tmp_path, "#a b\n1 2\n2 3\n", "e.txt").counts["comment_lines"] == 1
    assert load(tmp_path, "#src\tdst\na\tb\nb\tc\n", "e.txt", header="no").num_edges == 2
    assert "warning" not in capsys.readouterr().err
    raw = load(tmp_path, "#a,b\nb,c\nc,d\n#d,e\n", header="no")
    assert edges(raw) == [("#d", "e"), ("b", "c"), ("c", "d")]
    assert "the line '#a,b' before the table was read as a comment" in " ".join(
        capsys.readouterr().err.split()
    )
    many = "".join(f"# line {i}\n" for i in range(12_000)) + "1,2\n"
    assert load(tmp_path, many).counts["comment_lines"] == 12_000


# --- delimiters


def test_a_vector_inside_a_field_of_a_tab_separated_table_is_one_field(tmp_path, capsys):
    rows = "".join(f"{i}\t{7 - i} {i + 1}\n" for i in range(8))
    with pytest.raises(UserError, match="vec"):
        given(tmp_path, "features", "id\tvec\n" + rows, "f.tsv")
    raw = given(tmp_path, "features", rows, "f.txt")  # without a header, as before
    assert raw.feat.tolist() == [[7 - i, i + 1] for i in range(8)]


def test_a_header_that_lacks_a_name_is_refused_if_the_first_column_is_no_row_name(tmp_path):
    rows = "".join(f"{(5 * i) % 8} {i} {i + 1}\n" for i in range(8))
    with pytest.raises(UserError, match=r"one field less than the rows.*name for each column"):
        given(tmp_path, "features", "node_id vec\n" + rows, "f.txt")


def test_tabs_that_every_line_has_win_over_commas_in_values(tmp_path):
    names = ["Last, First", "Doe, Jane", "Roe, R, Jr", "Poe, E, A"]
    pairs = list(zip(names, names[1:] + names[:1], strict=True))
    text = "".join(f"{a}\t{b}\n" for a, b in pairs)
    assert edges(load(tmp_path, text, "e.txt", header="no")) == sorted(pairs)
    text = "".join(f"{a}\t{b}\n" for a, b in pairs[:2] + pairs[-1:]) + "Doe, Jane\n"
    with pytest.raises(UserError, match="line 4: 1 fields"):  # not in every line, but .tsv
        load(tmp_path, text, "e.tsv", header="no")


@pytest.mark.parametrize("line", ["{} {}\t", "\t{} {}", "{} {}\t1 108", "{}\t{}\t"])
def test_tabs_at_the_ends_of_lines_or_between_pairs_set_no_column_of_pairs_apart(tmp_path, line):
    text = "".join(line.format(i, i + 1) + "\n" for i in range(3))
    assert edges(load(tmp_path, text, "e.txt")) == [(0, 1), (1, 2), (2, 3)]


def test_an_id_with_a_tab_inside_is_refused_unless_it_is_quoted_or_said(tmp_path):
    text = "src,dst\na,b\nb,c\td\n"
    with pytest.raises(UserError, match=r"line 3: a tab is inside a field.*--delimiter"):
        load(tmp_path, text)
    assert edges(load(tmp_path, text, delimiter="comma"))[1] == ("b", "c\td")
    assert edges(load(tmp_path, 'src,dst\na,b\nb,"c\td"\n'))[1] == ("b", "c\td")


def test_the_first_line_of_excel_says_the_delimiter(tmp_path):
    for end in ("\n", "\r\n"):
        text = end.join(["sep=;", "src;dst;w", "1;2;0,5", "2;3;1,5", ""])
        assert edges(load(tmp_path, text)) == [(1, 2), (2, 3)]
    with pytest.raises(UserError, match="line 4: 3 fields"):
        load(tmp_path, "sep=;\nsrc;dst\n1;2\n2;3;4\n")
    assert edges(load(tmp_path, "\ufeffsep=|\n1|2\n2|3\n")) == [(1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08\x00" + bytes(20), "compressed by gzip; add .gz"),
        (b"PK\x03\x04" + bytes(20), "an Excel workbook"),
        ("src,dst\n1,2\n".encode("utf-16"), "UTF-16; convert it to UTF-8"),
        (b"PAR1\x15" + bytes(20), "Parquet; give it"),
    ],
)
def test_a_file_of_another_kind_under_the_name_of_text_is_said(tmp_path, content, words):
    (tmp_path / "fake.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"fake.csv' is.*{words}"):
        FileSource(tmp_path / "fake.csv").load()


# --- byte order marks and other invisible characters


def test_byte_order_marks_inside_a_file_are_no_part_of_ids(tmp_path):
    raw = load(tmp_path, '\ufeff0,1\n1,2\n\ufeff2,3\n\ufeff"3",4\n')
    assert edges(raw) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert raw.counts["byte_order_marks_inside"] == 2
    assert edges(load(tmp_path, "person,friend\n\ufeff1,2\n2,3\n")) == [(1, 2), (2, 3)]
    assert edges(load(tmp_path, "1,2\n\ufeff# note\n2,3\n")) == [(1, 2), (2, 3)]
    assert "byte_order_marks_inside" not in load(tmp_path, "\ufeff0,1\n1,2\n").counts


@pytest.mark.parametrize("odd", ["\ufeffann", "an\u200bn", "ann\u00ad"])
def test_ids_that_differ_by_invisible_characters_are_warned_of(tmp_path, capsys, odd):
    load(tmp_path, f"src,dst\nann,bob\nbob,{odd}\n")
    assert "invisible characters" in " ".join(capsys.readouterr().err.split())


def test_ids_that_differ_by_the_unicode_form_are_warned_of(tmp_path, capsys):
    load(tmp_path, "src,dst\nZo\u00eb,bob\nbob,Zoe\u0308\n")
    assert "Unicode form" in " ".join(capsys.readouterr().err.split())


# --- all rows are bad


def test_skipping_is_no_remedy_if_all_rows_are_bad(tmp_path):
    for text, words in {
        "src,dst\n1,2,\n2,3,\n": "line 2: 3 fields.*remove the delimiter at the end",
        "src,dst,when\n1,2,01/31/2024\n2,3,02/28/2024\n": "date such as 2024-01-31",
    }.items():
        column = "when" if "when" in text else None
        with pytest.raises(UserError, match=f"{words}.*All 2 rows are bad") as error:
            load(tmp_path, text, time_column=column)
        assert "--bad-rows" not in str(error.value)


# --- folders of partitions


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("num", [1, 2])
@pytest.mark.parametrize("given_as", ["folder", "glob", "folders"])
def test_the_folders_of_partitions_are_columns_of_text_in_every_format(
    tmp_path, ending, num, given_as
):
    kinds = {"01": (1, 2), "a b/c": (3, 4)}
    folders = {"01": "type=01", "a b/c": "type=a%20b%2Fc"}
    for kind in list(kinds)[:num]:
        folder = tmp_path / "hv" / folders[kind]
        folder.mkdir(parents=True)
        frame = pd.DataFrame([kinds[kind]], columns=["src", "dst"])
        if ending == "parquet":
            frame.to_parquet(folder / "part-0.parquet")
        elif ending == "csv":
            frame.to_csv(folder / "part-0.csv", index=False)
        else:
            frame.to_json(folder / "part-0.jsonl", orient="records", lines=True)
    top = str(tmp_path / "hv")
    source = {"folder": top, "glob": f"{top}/*/part-*", "folders": f"{top}/type=*"}[given_as]
    raw = FileSource(source, type_column="type").load()
    found = {
        (raw.node_id[s], raw.node_id[d]): raw.edge_type_names[code]
        for s, d, code in zip(raw.src, raw.dst, raw.edge_type, strict=True)
    }
    assert found == {kinds[kind]: kind for kind in list(kinds)[:num]}
    one = next(Path(top, "type=01").iterdir())
    with pytest.raises(UserError, match="no column 'type'"):
        FileSource(one, type_column="type").load()


def test_partitions_that_only_some_files_have_or_that_are_columns_are_no_columns(tmp_path, capsys):
    (tmp_path / "hv" / "year=2020").mkdir(parents=True)
    (tmp_path / "hv" / "a.csv").write_text("src,dst\n1,2\n")
    (tmp_path / "hv" / "year=2020" / "b.csv").write_text("src,dst\n2,3\n")
    assert edges(FileSource(tmp_path / "hv").load()) == [(1, 2), (2, 3)]
    shown = " ".join(capsys.readouterr().err.split())
    assert "'year' for some of the files only, so it is no column" in shown
    for year in (2020, 2021):
        folder = tmp_path / "own" / f"src={year}"
        folder.mkdir(parents=True)
        pd.DataFrame({"src": [1], "dst": [year]}).to_parquet(folder / "part-0.parquet")
    assert edges(FileSource(tmp_path / "own").load()) == [(1, 2020), (1, 2021)]
    empty = tmp_path / "null" / "kind=__HIVE_DEFAULT_PARTITION__"
    (tmp_path / "null" / "kind=x").mkdir(parents=True)
    empty.mkdir()
    for folder in (empty, tmp_path / "null" / "kind=x"):
        pd.DataFrame({"src": [1], "dst": [2]}).to_parquet(folder / "part-0.parquet")
    with pytest.raises(UserError, match="no id in column 'kind'"):
        FileSource(tmp_path / "null", type_column="kind").load()
