"""Nothing in a person's file is changed, dropped or guessed in silence.

Each test is a report of a user of some tool of this kind; the right values are computed by other
means: by hand, by `sort -u`, by NumPy.
"""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.describe import print_description
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph


def load(folder: Path, text: str, name: str = "edges.csv", **options) -> RawGraph:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return FileSource(folder / name, **options).load()


def edges(raw: RawGraph) -> list[tuple]:
    ends = zip(raw.src.tolist(), raw.dst.tolist(), strict=True)
    return sorted((raw.node_id[s], raw.node_id[d]) for s, d in ends)


def sort_u(text: str, delimiter: str = ",") -> list[str]:
    """The distinct fields of a text, by the shell."""
    fields = text.replace(delimiter, "\n").strip("\n") + "\n"
    command = ["sort", "-u"]
    done = subprocess.run(command, input=fields.encode(), env={"LC_ALL": "C"}, capture_output=True)
    return done.stdout.decode().splitlines()


# --- ids


def test_zip_codes_are_strings_though_the_first_ones_look_like_integers(tmp_path):
    text = "".join(f"{10001 + i},{20001 + i}\n" for i in range(4)) + "02139,2139\n01730,10001\n"
    raw = load(tmp_path, text)
    assert raw.node_id.to_list() == sort_u(text)
    assert ("02139", "2139") in edges(raw)
    assert raw.num_edges == 6


@pytest.mark.parametrize(
    "odd", ["+7", "0x1f", "1e5", "1_000", "007", "-0", "\uff11\uff12", "1,000"]
)
def test_an_id_in_another_writing_makes_all_ids_strings(tmp_path, odd):
    field = f'"{odd}"' if "," in odd else odd
    raw = load(tmp_path, f"1,2\n2,{field}\n")
    assert set(raw.node_id.to_list()) == {"1", "2", odd}


def test_integers_that_pandas_wrote_with_a_point_are_refused_or_unified(tmp_path):
    table = pd.DataFrame({"src": range(30), "dst": [(i + 1) % 30 for i in range(30)]})
    table["dst"] = table["dst"].astype(float)
    text = table.to_csv(index=False)
    assert "1.0" in text
    with pytest.raises(UserError, match=r"'dst'.*decimal point, such as '0.0'.*--id-type int"):
        load(tmp_path, text)
    raw = load(tmp_path, text, id_type="int")
    assert raw.node_id.to_list() == list(range(30))
    with pytest.raises(UserError, match="differ only by a decimal point"):
        load(tmp_path, "3,1\n2,1.0\n4,x\n")
    assert len(load(tmp_path, "3,1\n2,1.0\n4,x\n", id_type="str").node_id) == 6
    assert len(load(tmp_path, "a,1\nb,1.0\nc,d\n").node_id) == 6  # names, such as of packages


def test_floats_of_a_frame_are_refused_or_unified(tmp_path):
    table = pd.DataFrame({"src": [0.0, 1.0], "dst": [1.0, 2.0]})
    with pytest.raises(UserError, match=r"'src'.*DOUBLE.*--id-type int"):
        FileSource(table).load()
    assert FileSource(table, id_type="int").load().node_id.to_list() == [0, 1, 2]
    table.loc[1, "dst"] = 2.5
    with pytest.raises(UserError, match="not an integer"):
        FileSource(table, id_type="int").load()


def test_blanks_around_fields_are_no_part_of_an_id_unless_quoted(tmp_path):
    raw = load(tmp_path, 'src, dst\nann, bob\nbob ,\tcarl\n" dan ", ann\n')
    assert set(raw.node_id.to_list()) == {"ann", "bob", "carl", " dan "}
    assert raw.counts["rows_with_blanks_around_fields"] == 3


def test_quotes_inside_names_are_refused_with_their_line_or_kept(tmp_path):
    names = ['"Weird Al" Yankovic', '"Heroes', "Bowie", 'Bob "B" Dylan']
    text = "".join(f"{a}\t{b}\n" for a, b in zip(names, names[1:] + names[:1], strict=True))
    with pytest.raises(UserError, match=r"line 1: a quote .*--quote none"):
        load(tmp_path, text, "e.tsv")
    raw = load(tmp_path, text, "e.tsv", quote="none")
    assert raw.node_id.to_list() == sorted(names)
    assert raw.num_edges == 4


def test_a_line_break_inside_the_field_of_an_edge_is_refused_with_its_line(tmp_path):
    with pytest.raises(UserError, match="line 3: a quote is not closed"):
        load(tmp_path, 'src,dst\na,b\n"two\nlines",c\n')


@pytest.mark.parametrize(
    "text",
    [
        "1   2\n3 \t 4\n5\t\t6\n",
        "  1 2\n3      4  \n5 6\n",
        "% sym\n1 2\t1 1082000001\n3 4\t1 1082000002\n5 6\t1 1082000003\n",
        "1 2\n# in the middle\n3 4\n% and here\n5 6\n",
        "src dst\n1 2\n3 4\nsrc dst\n5 6\n",
        "1 2\r\n3 4\n5 6\r\n",
        "1 2\r3 4\r5 6\r",
        "1 2\r\n3 4\n5 6\r",
        "1|2\n3|4\n5|6\n",
        "\n1;2\n\n3;4\n5;6\n\n",
    ],
)
def test_every_way_to_set_columns_apart_gives_the_same_edges(tmp_path, text):
    assert edges(load(tmp_path, text, "e.txt")) == [(1, 2), (3, 4), (5, 6)]


def test_comments_and_repeated_headers_are_counted(tmp_path):
    raw = load(tmp_path, "src,dst\n1,2\n# note\nsrc,dst\n2,3\n")
    assert raw.counts["comment_lines"] == 1
    assert raw.counts["repeated_headers"] == 1


def test_hashtags_are_names_and_no_comments(tmp_path):
    raw = load(tmp_path, "user,tag\nann,#mlb\n#mlb,#nba\n", header="yes")
    assert raw.node_id.to_list() == ["#mlb", "#nba", "ann"]
    assert raw.num_edges == 2


def test_delimiters_of_several_characters_can_be_given(tmp_path):
    raw = load(
        tmp_path, "1::1193::5::978300760\n2::661::3::978302109\n", "r.dat.txt", delimiter="::"
    )
    assert edges(raw) == [(1, 1193), (2, 661)]


def test_bad_rows_are_an_error_or_skipped_shown_and_counted(tmp_path, capsys):
    good = "".join(f"pkg{i},pkg{i + 1}\n" for i in range(2000))
    text = "src,dst\n" + good + "myFirstNpm,,dep\n" + good + ",x\nx,\n"
    with pytest.raises(
        UserError, match=r"line 2002: 3 fields.*myFirstNpm.*2 more.*--bad-rows skip"
    ):
        load(tmp_path, text)
    capsys.readouterr()
    raw = load(tmp_path, text, bad_rows="skip", bad_rows_file=tmp_path / "bad.csv")
    assert raw.num_edges == 4000
    assert raw.counts["bad_rows_skipped"] == 3
    shown = capsys.readouterr().err.replace("\n", " ")
    assert "line 2002" in shown
    assert "line 4003" in shown
    bad = pd.read_csv(tmp_path / "bad.csv")
    assert bad["line"].tolist() == [2002, 4003, 4004]
    assert bad["text"].tolist() == ["myFirstNpm,,dep", ",x", "x,"]


def test_bytes_that_are_not_utf8_can_be_skipped(tmp_path):
    (tmp_path / "e.csv").write_bytes(b"src,dst\na,b\nc,\xff\nd,e\n,f\n")
    raw = FileSource(tmp_path / "e.csv", bad_rows="skip", bad_rows_file=tmp_path / "bad.csv").load()
    assert edges(raw) == [("a", "b"), ("d", "e")]
    assert raw.counts["bad_rows_skipped"] == 2
    assert pd.read_csv(tmp_path / "bad.csv")["line"].tolist() == [3, 5]


# --- inputs of several parts and kinds


def parts(folder: Path) -> dict[str, object]:
    """The edges 1-2, 3-4, 5-6 in many forms."""
    frame = pd.DataFrame({"src": [1, 3, 5], "dst": [2, 4, 6]})
    half, rest = frame.iloc[:2], frame.iloc[2:]
    half.to_csv(folder / "jan.csv", index=False)
    rest.to_csv(folder / "feb.csv", index=False)
    spark = folder / "edges.parquet"
    (spark / "year=2020").mkdir(parents=True)
    (spark / "_SUCCESS").touch()
    (spark / ".part-0.crc").write_text("x")
    pq.write_table(pa.Table.from_pandas(half), spark / "part-0.snappy.parquet")
    pq.write_table(pa.Table.from_pandas(rest), spark / "year=2020" / "part-1.snappy.parquet")
    frame.to_json(folder / "e.jsonl", orient="records", lines=True)
    return {
        "list": [folder / "jan.csv", folder / "feb.csv"],
        "glob": str(folder / "*.csv"),
        "folder": spark,
        "lines": folder / "e.jsonl",
        "query": f"sql:SELECT src, dst FROM '{spark}/**/*.parquet' WHERE src > 0",
        "pandas": frame,
        "arrow": pa.Table.from_pandas(frame),
        "batch": pa.RecordBatch.from_pandas(frame),
        "mixed": [folder / "jan.csv", pa.Table.from_pandas(rest)],
    }


@pytest.mark.parametrize(
    "kind",
    ["list", "glob", "folder", "lines", "query", "pandas", "arrow", "batch", "mixed"],
)
def test_files_folders_globs_queries_and_frames_give_the_same_edges(tmp_path, kind):
    assert edges(FileSource(parts(tmp_path)[kind]).load()) == [(1, 2), (3, 4), (5, 6)]


def test_polars_frames_and_duckdb_relations_are_read(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql("SELECT * FROM (VALUES (1, 2), (3, 4)) AS t(src, dst)")
    assert edges(FileSource(relation).load()) == [(1, 2), (3, 4)]
    polars = pytest.importorskip("polars")
    assert edges(FileSource(polars.DataFrame({"src": [1], "dst": [2]})).load()) == [(1, 2)]


def test_parts_with_other_columns_are_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("src,dst\n1,2\n")
    (tmp_path / "b.csv").write_text("src,dst,w\n1,2,3\n")
    with pytest.raises(UserError, match=r"b.csv.*src, dst, w.*a.csv.*src, dst"):
        FileSource([tmp_path / "a.csv", tmp_path / "b.csv"]).load()


def test_a_wrong_query_is_said(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        FileSource("sql:SELECT * FROM nowhere").load()


# --- labels


def labels(folder: Path, text: str, name: str = "labels.csv", **options) -> RawGraph:
    (folder / "e.csv").write_text("".join(f"{i},{(i + 1) % 40}\n" for i in range(40)))
    (folder / name).write_text(text)
    return FileSource(folder / "e.csv", labels=folder / name, **options).load()


@pytest.mark.parametrize("word", ["NA", "nan", "NULL", "None", "N/A", "?", "", "-1", "NaN", "null"])
def test_missing_words_and_negative_numbers_are_no_label(tmp_path, word):
    rows = [f"{i},{word if i % 4 == 0 else i % 3}" for i in range(40)]
    raw = labels(tmp_path, "id,label\n" + "\n".join(rows) + "\n")
    assert raw.label_names == ["0", "1", "2"]
    assert raw.label.tolist() == [-1 if i % 4 == 0 else i % 3 for i in range(40)]
    assert raw.counts["nodes_without_label"] == 10


def test_missing_words_can_be_classes(tmp_path):
    rows = [f"{i},{'NA' if i % 4 == 0 else 'EU'}" for i in range(40)]
    raw = labels(tmp_path, "id,label\n" + "\n".join(rows) + "\n", missing_labels=False)
    assert raw.label_names == ["EU", "NA"]


def test_classes_are_printed_with_their_sizes_once(tmp_path, capsys):
    (tmp_path / "e.csv").write_text("".join(f"{i},{(i + 1) % 40}\n" for i in range(40)))
    rows = "".join(f"{i},{'ab'[i % 4 == 0]}\n" for i in range(40))
    (tmp_path / "l.csv").write_text("id,label\n" + rows)
    with closing(FileSource(tmp_path / "e.csv", labels=tmp_path / "l.csv").open()) as graph:
        print_description(build(tmp_path / "g.zarr", graph, BuildOptions(hold_out="nodes")))
    shown = " ".join(capsys.readouterr().err.split())
    assert shown.count("2 classes") == 1
    assert "2 classes; 40 labelled nodes: a 30, b 10" in shown


def test_the_ids_are_never_the_labels(tmp_path):
    text = "id,new_id\n" + "".join(f"x{i},{i}\n" for i in range(40))
    raw = None
    with pytest.raises(UserError, match="40 classes for 40 labelled nodes, one each"):
        raw = labels(tmp_path, text, id_column="new_id")
    assert raw is None
    with pytest.raises(UserError, match=r"'new_id'.*holds the ids"):
        labels(tmp_path, text, id_column="new_id", label_column="new_id")


def test_several_columns_that_may_be_the_label_are_listed(tmp_path):
    text = "id,age,town\n" + "".join(f"{i},{i % 5},t{i % 2}\n" for i in range(40))
    with pytest.raises(UserError, match=r"columns age, town besides the ids 'id'.*--label-column"):
        labels(tmp_path, text)
    assert labels(tmp_path, text, label_column="town").label_names == ["t0", "t1"]
    text = text.replace("town", "label")
    assert labels(tmp_path, text).label_names == ["t0", "t1"]


def test_numbers_with_fractions_are_targets_and_never_classes(tmp_path):
    values = [round(1.37 * (i % 8), 3) - 2 for i in range(40)]
    raw = labels(tmp_path, "id,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    assert raw.label_kind == "real"
    np.testing.assert_allclose(np.ravel(raw.label), values)
    mixed = "id,y\n" + "".join(f"{i},{v if i else 'a'}\n" for i, v in enumerate(values))
    with pytest.raises(UserError, match="text and numbers with fractions"):
        labels(tmp_path, mixed)
    assert labels(tmp_path, mixed, label_kind="class").label_kind == "class"


def test_whole_numbers_that_pandas_wrote_with_a_point_are_the_same_classes(tmp_path):
    column = pd.Series([float(i % 3) if i % 4 else None for i in range(40)])
    text = pd.DataFrame({"id": range(40), "label": column}).to_csv(index=False)
    raw = labels(tmp_path, text)
    assert raw.label_names == ["0", "1", "2"]
    assert raw.counts["nodes_without_label"] == 10


def test_several_label_columns_are_several_labels_or_targets(tmp_path):
    rows = [(i, i % 2, i % 3 == 0, i / 7) for i in range(40)]
    text = "id,a,b,c\n" + "".join(f"{i},{a},{int(b)},{c}\n" for i, a, b, c in rows)
    raw = labels(tmp_path, text, label_column=["a", "b"])
    assert (raw.label_kind, raw.label_names) == ("multi", ["a", "b"])
    np.testing.assert_array_equal(raw.label, [[a, int(b)] for _, a, b, _ in rows])
    with pytest.raises(UserError, match=r"columns of 0 and 1 \(a\) beside columns of other"):
        labels(tmp_path, text, label_column=["a", "c"])
    raw = labels(tmp_path, text, label_column=["a", "c"], label_kind="real")
    np.testing.assert_allclose(raw.label, [[a, c] for _, a, _, c in rows])


def test_labels_come_from_parquet_and_from_several_files(tmp_path):
    (tmp_path / "e.csv").write_text("0,1\n2,3\n")
    for at in range(2):
        table = pa.table({"id": [2 * at, 2 * at + 1], "label": ["x", "y"]})
        pq.write_table(table, tmp_path / f"l{at}.parquet")
    raw = FileSource(tmp_path / "e.csv", labels=str(tmp_path / "l*.parquet")).load()
    assert raw.label.tolist() == [0, 1, 0, 1]


# --- features


def features(folder: Path, frame: pd.DataFrame, name: str = "f.parquet", **options) -> RawGraph:
    (folder / "e.csv").write_text("".join(f"{i},{(i + 1) % 40}\n" for i in range(40)))
    frame.to_parquet(folder / name) if name.endswith("t") else frame.to_csv(
        folder / name, index=False
    )
    return FileSource(folder / "e.csv", folder / name, **options).load()


def person(**more) -> pd.DataFrame:
    base = {"id": range(40), "age": [20 + i % 30 for i in range(40)]}
    return pd.DataFrame(base | more)


@pytest.mark.parametrize("name", ["f.parquet", "f.csv"])
def test_columns_taken_and_not_taken_are_printed_by_name_and_type(tmp_path, capsys, name):
    frame = person(
        town=[f"t{i % 3}" for i in range(40)],
        member=[i % 2 == 0 for i in range(40)],
        title=[f"about {i}" for i in range(40)],
        row=range(40),
        timestamp=[1_600_000_000 + 7 * i for i in range(40)],
    )
    raw = features(tmp_path, frame, name)
    shown = capsys.readouterr().err.replace("\n", " ")
    assert raw.feat.shape == (40, 6)  # age, 3 towns, member, timestamp
    for word in ("age", "town", "member", "title", "numbers the rows", "timestamp"):
        assert word in shown
    assert "warning: timestamp became features" in shown
    towns = raw.feat[:, 1:4]
    np.testing.assert_array_equal(towns, np.eye(3)[[i % 3 for i in range(40)]])


def test_columns_are_chosen_and_dropped_by_name(tmp_path):
    frame = person(a=[i / 2 for i in range(40)], b=[i / 3 for i in range(40)])
    assert features(tmp_path, frame, feature_columns=["b"]).feat.shape == (40, 1)
    assert features(tmp_path, frame, drop_columns=["a"]).feat.shape == (40, 2)
    with pytest.raises(UserError, match="no column 'c'; valid: id, age, a, b"):
        features(tmp_path, frame, drop_columns=["c"])


def test_a_column_without_a_name_is_called_by_its_number(tmp_path):
    text = ",age\n" + "".join(f"{i},{20 + i % 7}\n" for i in range(40))
    (tmp_path / "f.csv").write_text(text)  # as pandas writes a frame with its index
    (tmp_path / "e.csv").write_text("0,1\n")
    raw = FileSource(tmp_path / "e.csv", tmp_path / "f.csv", id_column="1").load()
    assert raw.feat.ravel().tolist() == [20 + i % 7 for i in range(40)]


def test_decimals_are_numbers(tmp_path):
    table = pa.table({"id": range(40), "price": pa.array([f"{i}.25" for i in range(40)])})
    price = table["price"].cast(pa.decimal128(9, 2))
    pq.write_table(table.set_column(1, "price", price), tmp_path / "f.parquet")
    (tmp_path / "e.csv").write_text("".join(f"{i},{(i + 1) % 40}\n" for i in range(40)))
    raw = FileSource(tmp_path / "e.csv", tmp_path / "f.parquet").load()
    np.testing.assert_allclose(raw.feat[:, 0], [i + 0.25 for i in range(40)])


def test_missing_features_are_refused_or_filled_and_counted(tmp_path):
    frame = person(x=[float(i) if i % 4 else None for i in range(40)])
    with pytest.raises(UserError, match=r"'x' of node 0 is NaN.*--fill-missing"):
        features(tmp_path, frame)
    raw = features(tmp_path, frame, fill_missing="mean")
    known = [i for i in range(40) if i % 4]
    expected = [float(i) if i % 4 else np.mean(known) for i in range(40)]
    np.testing.assert_allclose(raw.feat[:, 1], expected, rtol=1e-6)
    assert raw.counts["feature_values_filled"] == 10


def test_a_feature_that_equals_the_label_is_refused(tmp_path):
    frame = person(group=[i % 4 for i in range(40)])
    (tmp_path / "l.csv").write_text("id,label\n" + "".join(f"{i},c{i % 4}\n" for i in range(40)))
    with pytest.raises(UserError, match=r"feature 'group' tells the label.*--drop-columns group"):
        features(tmp_path, frame, labels=tmp_path / "l.csv")
    raw = features(tmp_path, frame, labels=tmp_path / "l.csv", drop_columns=["group"])
    assert raw.feat.shape == (40, 1)


def test_unknown_columns_are_found_before_rows_are_read(tmp_path, capsys):
    (tmp_path / "l.csv").write_text("id,label\n1,a\n")
    with pytest.raises(UserError, match="no column 'lable'"):
        load(tmp_path, "1,2\n2,3\n", labels=tmp_path / "l.csv", label_column="lable")
    assert "reading" not in capsys.readouterr().err


def test_the_file_for_bad_rows_is_checked_before_rows_are_read(tmp_path):
    with pytest.raises(UserError, match="whose folder does not exist"):
        load(tmp_path, "1,2\n", bad_rows="skip", bad_rows_file=tmp_path / "absent" / "bad.csv")


# --- weights, times, splits


def test_weights_and_times_are_read(tmp_path):
    raw = load(
        tmp_path,
        "src,dst,w,when\n1,2,0.5,2020-01-01\n2,3,2,2021-06-01 12:00:00\n",
        weight_column="w",
        time_column="when",
    )
    order = np.argsort(raw.src)
    np.testing.assert_allclose(raw.weight[order], [0.5, 2])
    assert raw.time[order].tolist() == [1577836800, 1622548800]
    for bad in ("0", "-1", "nan", "inf", "x", ""):
        with pytest.raises(UserError, match="line 3: weight 'w' is not positive and finite"):
            load(tmp_path, f"src,dst,w\n1,2,1\n2,3,{bad}\n", weight_column="w")
    with pytest.raises(UserError, match="line 2: column 'when' is no time"):
        load(tmp_path, "src,dst,when\n1,2,soon\n", time_column="when")


def test_splits_come_as_tables_of_nodes_and_of_links(tmp_path):
    words = ["train", "val", "test", "train"]
    (tmp_path / "s.csv").write_text(
        "id,split\n" + "".join(f"{i},{w}\n" for i, w in enumerate(words))
    )
    raw = load(tmp_path, "0,1\n2,3\n", splits=tmp_path / "s.csv")
    assert {part: nodes.tolist() for part, nodes in raw.node_split.items()} == {
        "train": [0, 3],
        "valid": [1],
        "test": [2],
    }
    rows = [(0, 1, "train"), (1, 2, "valid"), (2, 3, "test")]
    (tmp_path / "s.csv").write_text(
        "src,dst,split\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    )
    with (tmp_path / "s.csv").open("a") as file:
        file.write("# end\n7,8,never\n")
    raw = FileSource(splits=tmp_path / "s.csv", bad_rows="skip").load()
    assert (raw.counts["comment_lines"], raw.counts["bad_rows_skipped"]) == (1, 1)
    for src, dst, part in rows:
        pair = raw.link_split[part]
        assert (pair.src.tolist(), pair.dst.tolist()) == ([src], [dst])


# --- parts that differ, odd names


def test_parts_of_different_types_change_no_value(tmp_path):
    folder = tmp_path / "f.parquet"
    folder.mkdir()
    pq.write_table(pa.table({"id": [0, 1], "x": [1, 2]}), folder / "a.parquet")
    pq.write_table(pa.table({"id": [2, 3], "x": [1.5, 0.25]}), folder / "b.parquet")
    (tmp_path / "e.csv").write_text("0,1\n1,2\n2,3\n")
    raw = FileSource(tmp_path / "e.csv", folder).load()
    assert np.ravel(raw.feat).tolist() == [1, 2, 1.5, 0.25]
    frames = [pa.table({"src": [7], "dst": [8]}), pa.table({"src": ["07"], "dst": ["x"]})]
    assert edges(FileSource(frames).load()) == [("07", "x"), ("7", "8")]
    (tmp_path / "a.jsonl").write_text('{"src": 1, "dst": 2, "w": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"src": 2, "dst": 3, "w": 2.6}\n')
    raw = FileSource([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], weight_column="w").load()
    np.testing.assert_allclose(sorted(raw.weight), [1, 2.6], rtol=1e-6)


def test_file_names_with_glob_characters_are_names(tmp_path):
    (tmp_path / "edges[1].csv").write_text("1,2\n")
    (tmp_path / "edges1.csv").write_text("100,200\n")
    assert edges(FileSource(tmp_path / "edges[1].csv").load()) == [(1, 2)]


def test_columns_whose_names_differ_by_case_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"'src' and 'Src'.*differ by case"):
        load(tmp_path, "src,Src,dst\n1,9,2\n3,8,4\n", src_column="Src", dst_column="dst")
    table = pa.table({"id": [0, 1], "Age": [1, 2], "age": [3, 4]})
    with pytest.raises(UserError, match=r"'Age' and 'age'.*differ by case"):
        load(tmp_path, "0,1\n", features=table)


def test_columns_may_have_any_name(tmp_path):
    names = ["_problem", "_trimmed", "line", "f", "n", "code", "v", "select", 'a "b"', "50%", "e"]
    frame = person(
        **{name: [float(i + at) ** 2 for i in range(40)] for at, name in enumerate(names)}
    )
    frame["colour"] = ["red" if i % 2 else "blue" for i in range(40)]
    for name in ("f.parquet", "f.csv"):
        raw = features(tmp_path, frame, name)
        expected = np.stack(
            [frame["age"], *(frame[n] for n in names), frame["colour"] == "blue",
             frame["colour"] == "red"], 1
        )  # fmt: skip
        np.testing.assert_allclose(raw.feat, expected.astype(np.float32))


def test_a_header_of_joined_files_is_found_in_other_writings(tmp_path):
    text = 'src,dst\n1,2\n\ufeffsrc,dst\n2,3\n"src","dst"\n3,4\nSRC, DST\n4,5\n'
    raw = load(tmp_path, text)
    assert edges(raw) == [(1, 2), (2, 3), (3, 4), (4, 5)]
    assert raw.counts["repeated_headers"] == 3


def test_a_header_of_unusual_names_is_not_taken_for_data_because_it_comes_twice(tmp_path):
    for month in ("jan", "feb"):
        (tmp_path / f"{month}.csv").write_text(f"person,friend\nann-{month},bob-{month}\n")
    with pytest.raises(UserError, match=r"'person' and 'friend', may be a header"):
        FileSource(str(tmp_path / "*.csv")).load()
    with pytest.raises(UserError, match=r"first line, user, colour, may be a header.*--header yes"):
        (tmp_path / "l.csv").write_text("user,colour\nann-jan,red\nbob-jan,blue\n")
        FileSource(str(tmp_path / "jan.csv"), labels=tmp_path / "l.csv", header="auto").load()


def test_lines_like_comments_are_skipped_if_that_is_said_and_else_warned_of(tmp_path, capsys):
    text = "1 2\n2 3\n#end here\n3 4\n"
    assert edges(load(tmp_path, text, "e.txt", comment="#")) == [(1, 2), (2, 3), (3, 4)]
    load(tmp_path, text, "e.txt")
    assert "1 rows" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("given", ["02139", "1e3", "1_000", "9007199254740993", "007"])
def test_names_of_classes_stay_as_they_are_written(tmp_path, given):
    rows = [f"{i},{given if i % 2 else 'other'}" for i in range(40)]
    assert given in labels(tmp_path, "id,label\n" + "\n".join(rows) + "\n").label_names
    rows = [f"{i},{given if i % 2 else 5}" for i in range(40)]
    assert given in labels(tmp_path, "id,label\n" + "\n".join(rows) + "\n").label_names


def test_labels_of_ids_in_another_writing_are_of_unknown_ids(tmp_path):
    raw = labels(tmp_path, "id,label\n007,a\n+5,b\n3,b\n2,a\n")
    assert np.flatnonzero(raw.label >= 0).tolist() == [2, 3]
    assert raw.counts["labels_of_unknown_ids"] == 2


def test_the_delimiter_is_the_one_of_constant_number(tmp_path):
    raw = load(tmp_path, "1;2;0,5\n2;3;1,5\n")
    assert edges(raw) == [(1, 2), (2, 3)]


def test_a_missing_category_is_said(tmp_path):
    frame = person(colour=[["red", "blue", None][i % 3] for i in range(40)])
    with pytest.raises(UserError, match=r"category 'colour'.*13 missing values.*--fill-missing"):
        features(tmp_path, frame)
    raw = features(tmp_path, frame, fill_missing="zero")
    assert raw.counts["feature_values_filled"] == 13


def test_json_strings_stay_as_they_are(tmp_path):
    rows = [("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "2020-01-01"), ("12:30", "x")]
    for at, (src, dst) in enumerate(rows):
        (tmp_path / f"{at}.jsonl").write_text(f'{{"src": "{src}", "dst": "{dst}"}}\n')
    assert edges(FileSource(str(tmp_path / "*.jsonl")).load()) == sorted(rows)


def test_zstandard_is_read(tmp_path):
    text = "src,dst\n" + "".join(f"{i},{i * i}\n" for i in range(3000))
    with pa.output_stream(str(tmp_path / "e.csv.zst"), compression="zstd") as file:
        file.write(text.encode())
    assert FileSource(tmp_path / "e.csv.zst").load().num_edges == 3000


# --- any table of ids comes back exactly

ID = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["007", "7", "+7", "1e5", "0x1f", "1_000", " a", "a ", '"', ",", "NA", "nan"]),
    st.floats(allow_nan=False).map(str),
)
EDGES = st.lists(st.tuples(ID, ID), min_size=1, max_size=12)


def as_csv(rows: list[tuple[str, str]]) -> str:
    quoted = [",".join('"' + end.replace('"', '""') + '"' for end in row) for row in rows]
    return "\n".join(["src,dst", *quoted]) + "\n"


@settings(max_examples=80, deadline=None)
@given(EDGES)
def test_any_ids_come_back_through_csv_parquet_and_frames(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("ids")
    (folder / "e.csv").write_text(as_csv(rows), encoding="utf-8", newline="")
    table = pa.table({"src": [s for s, _ in rows], "dst": [d for _, d in rows]})
    pq.write_table(table, folder / "e.parquet")
    for given_edges in (folder / "e.csv", folder / "e.parquet", table, table.to_pandas()):
        raw = FileSource(given_edges, id_type="str").load()
        assert edges(raw) == sorted(rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers()), min_size=1, max_size=9))
def test_integers_of_any_size_come_back_as_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("ids") / "e.csv"
    path.write_text("src,dst\n" + "".join(f"{s},{d}\n" for s, d in rows))
    fits = all(-(2**63) <= end < 2**63 for row in rows for end in row)
    expected = rows if fits else [(str(s), str(d)) for s, d in rows]
    assert edges(FileSource(path).load()) == sorted(expected)


def test_a_killed_build_of_tables_leaves_nothing_that_the_next_one_keeps(tmp_path):
    rows = "".join(f"{i},{i + 1}\n" for i in range(20_000))
    (tmp_path / "e.csv").write_text("src,dst\n" + rows)
    edges, folder = str(tmp_path / "e.csv"), str(tmp_path)
    code = (
        "import os, signal; from hvdtma.graph.ingest import FileSource; from pathlib import Path; "
        f"graph = FileSource(Path({edges!r})).open(folder=Path({folder!r})); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    FileSource(tmp_path / "e.csv").open(folder=tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["e.csv"]
