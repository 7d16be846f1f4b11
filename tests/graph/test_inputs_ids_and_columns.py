"""Which columns hold the ids, and which values are ids, classes, features or missing.

The right values are computed by hand, by pandas and by NumPy.
"""

import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import hvdtma
from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph

RING = pa.table({"src": list(range(20)), "dst": [(i + 1) % 20 for i in range(20)]})


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def edges(raw: RawGraph) -> list[tuple]:
    ends = zip(raw.src.tolist(), raw.dst.tolist(), strict=True)
    return sorted((raw.node_id[s], raw.node_id[d]) for s, d in ends)


def by_id(raw: RawGraph, values) -> dict:
    return dict(zip(raw.node_id.to_list(), np.asarray(values).tolist(), strict=True))


# --- words for missing values


@pytest.mark.parametrize("word", ["nan", "NA", "NULL", "\\N", "<NA>", "#N/A", "None"])
def test_a_missing_word_among_integer_ids_is_a_bad_row(tmp_path, word):
    text = f"src,dst\n1,2\n2,3\n{word},3\n3,{word}\n4,1\n"
    path = written(tmp_path / "e.csv", text)
    with pytest.raises(UserError, match=r"line 4: column 'src' has a word for a missing.*id-type"):
        FileSource(path).load()
    raw = FileSource(path, bad_rows="skip").load()
    frame = pd.read_csv(io.StringIO(text), na_values=[word]).dropna().astype(int)
    assert edges(raw) == sorted(frame.itertuples(index=False, name=None))
    assert raw.counts["bad_rows_skipped"] == 2
    kept = FileSource(path, id_type="str").load()
    assert edges(kept) == sorted([("1", "2"), ("2", "3"), (word, "3"), ("3", word), ("4", "1")])


def test_skipped_missing_words_keep_the_numbers_of_their_lines(tmp_path):
    text = "src,dst\n1,2\n2\n,3\nnan,3\n4,1\n1,1,1\n5,NULL\n"
    path, rows = written(tmp_path / "e.csv", text), tmp_path / "rows.csv"
    raw = FileSource(path, bad_rows="skip", bad_rows_file=rows).load()
    assert edges(raw) == [(1, 2), (4, 1)]
    assert sorted(pd.read_csv(rows)["line"]) == [3, 4, 5, 7, 8]
    assert raw.counts["bad_rows_skipped"] == 5


def test_a_missing_word_among_text_ids_is_an_id_with_a_warning(tmp_path, capsys):
    path = written(tmp_path / "e.csv", "src,dst\nDE,NA\nNA,FR\nFR,DE\n")
    raw = FileSource(path).load()
    assert edges(raw) == [("DE", "NA"), ("FR", "DE"), ("NA", "FR")]
    said = " ".join(capsys.readouterr().err.split())
    assert "column 'src' of" in said
    assert "'NA' (1 times)" in said


def test_a_missing_word_in_text_ids_of_a_frame_is_a_bad_row():
    frame = pd.DataFrame({"a": ["1", "2", None, "3"], "b": ["2", "3", "1", "1"]})
    typed = frame.map(str)  # as astype(str) did
    with pytest.raises(UserError, match="row 3 column 'a' has a word for a missing"):
        FileSource(typed).load()
    assert edges(FileSource(typed, bad_rows="skip").load()) == [("1", "2"), ("2", "3"), ("3", "1")]


def test_a_missing_word_in_ids_of_features_and_labels_is_a_bad_row(tmp_path):
    rows = "".join(f"{i},{i % 3}.5\n" for i in range(20))
    feat = written(tmp_path / "f.csv", f"id,x\n{rows}nan,7.5\n")
    with pytest.raises(UserError, match="line 22: column 'id' has a word for a missing"):
        FileSource(RING, features=feat).load()
    assert FileSource(RING, features=feat, bad_rows="skip").load().num_nodes == 20
    with pytest.raises(UserError, match="line 22: column 'id' has a word for a missing"):
        FileSource(RING, labels=feat, label_column="x").load()


def test_missing_words_as_edge_types_are_counted(tmp_path, capsys):
    text = "src,dst,kind\na,b,likes\nb,c,NA\nc,a,NA\n"
    raw = FileSource(written(tmp_path / "e.csv", text), type_column="kind").load()
    assert sorted(raw.edge_type_names) == ["NA", "likes"]
    assert "'NA' (2 times)" in " ".join(capsys.readouterr().err.split())


def test_missing_words_in_ids_of_arrays_are_counted(tmp_path, capsys):
    np.savez(tmp_path / "f.npz", ids=np.array(["a", "nan"]), feat=np.ones((2, 1)))
    FileSource(pa.table({"s": ["a"], "t": ["b"]}), features=tmp_path / "f.npz").load()
    assert "'nan' (1 times)" in " ".join(capsys.readouterr().err.split())


# --- splits

PAIRS = [(i, (i + step) % 10) for step in (1, 3, 4) for i in range(10)]
PARTS = ["train"] * 20 + ["valid"] * 5 + ["test"] * 5
SPLIT = pd.DataFrame(PAIRS, columns=["src", "dst"]).assign(split=PARTS)


def held_out(raw: RawGraph, part: str) -> list[tuple]:
    pairs = raw.link_split[part]
    ids = raw.node_id
    return sorted((ids[s], ids[d]) for s, d in zip(pairs.src, pairs.dst, strict=True))


def test_unusual_columns_of_links_in_splits_are_asked_for(tmp_path, capsys):
    path = tmp_path / "s.csv"
    SPLIT.rename(columns={"src": "user", "dst": "item"}).to_csv(path, index=False)
    with pytest.raises(UserError, match=r"user, item besides 'split'.*--src-column"):
        FileSource(splits=path, edges=RING).load()
    raw = FileSource(splits=path, src_column="user", dst_column="item").load()
    assert held_out(raw, "test") == sorted(PAIRS[25:])
    assert "splits of links from 'user' to 'item', parts 'split'" in capsys.readouterr().err


def test_a_second_column_of_parts_is_named(tmp_path, capsys):
    nodes = {"node": range(20), "split": ["train"] * 10 + ["valid"] * 5 + ["test"] * 5}
    path = tmp_path / "s.csv"
    pd.DataFrame(nodes).assign(fold="train").to_csv(path, index=False)
    raw = FileSource(RING, splits=path).load()
    assert raw.node_split["test"].tolist() == list(range(15, 20))
    said = " ".join(capsys.readouterr().err.split())
    assert "splits by 'node', parts 'split'; not read: fold" in said
    assert "warning: column 'fold'" in said


@pytest.mark.parametrize("is_table", [True, False])
@pytest.mark.parametrize("undirected", [True, False])
def test_a_link_in_valid_and_test_is_refused(tmp_path, is_table, undirected):
    src, dst = PAIRS[-1][::-1] if undirected else PAIRS[-1]
    doubled = pd.concat([SPLIT, pd.DataFrame([(src, dst, "valid")], columns=SPLIT.columns)])
    if is_table:
        doubled.to_csv(tmp_path / "s.csv", index=False)
        given = tmp_path / "s.csv"
    else:
        parts = {p: rows[["src", "dst"]].to_numpy() for p, rows in doubled.groupby("split")}
        np.savez(tmp_path / "s.npz", **parts)
        given = tmp_path / "s.npz"
    with pytest.raises(UserError, match=r"is in valid and in test \(1 such links\)"):
        FileSource(splits=given, undirected=undirected).load()


def test_the_other_direction_in_another_part_is_another_link_of_a_directed_graph():
    more = pd.DataFrame([(*PAIRS[-1][::-1], "valid")], columns=SPLIT.columns)
    raw = FileSource(splits=pd.concat([SPLIT, more])).load()
    assert held_out(raw, "valid") == sorted([*PAIRS[20:25], PAIRS[-1][::-1]])


def test_repeated_held_out_links_and_self_loops_are_dropped_and_counted():
    odd = pd.DataFrame([(*PAIRS[-1], "test"), (3, 3, "test")], columns=SPLIT.columns)
    raw = FileSource(splits=pd.concat([SPLIT, odd])).load()
    assert held_out(raw, "test") == sorted(PAIRS[25:])
    assert raw.counts["held_out_links_repeated"] == 1
    assert raw.counts["held_out_loops"] == 1


def test_negatives_stay_with_the_links_that_are_kept(tmp_path):
    test = np.array([*PAIRS[25:], PAIRS[25], (4, 4)])
    neg = np.arange(len(test))[:, None] % 10
    of = {"train": np.array(PAIRS[:20]), "valid": np.array(PAIRS[20:25]), "test": test}
    np.savez(tmp_path / "s.npz", **of, test_neg=neg, valid_neg=neg[:5])
    pairs = FileSource(splits=tmp_path / "s.npz").load().link_split["test"]
    assert pairs.neg.ravel().tolist() == [0, 1, 2, 3, 4]


def test_integer_ids_of_a_text_table_of_splits_are_integers(tmp_path):
    SPLIT.to_csv(tmp_path / "s.csv", index=False)
    raw = FileSource(splits=tmp_path / "s.csv").load()
    assert raw.node_id.to_list() == list(range(10))


def test_text_in_one_column_of_a_split_makes_the_ids_strings(tmp_path):
    codes = SPLIT.assign(dst=[f"{d:03d}" for _, d in PAIRS])
    for frame in (codes, codes.rename(columns={"src": "dst", "dst": "src"})):
        frame.to_parquet(tmp_path / "s.parquet")
        raw = FileSource(splits=tmp_path / "s.parquet").load()
        assert raw.node_id.to_list() == sorted([str(i) for i in range(10)] + [*set(codes.dst)])


# --- numbers


def feature_names(*args, **options) -> list[str]:
    with closing(FileSource(*args, **options).open()) as graph:
        return graph.feature_names


def features(folder: Path, column: list, **options) -> RawGraph:
    rows = "".join(f"{i},{value}\n" for i, value in enumerate(column))
    return FileSource(RING, features=written(folder / "f.csv", "id,x\n" + rows), **options).load()


def test_codes_with_underscores_are_no_numbers(tmp_path):
    codes = ["1_2", "12", "1_2", "13"] * 5
    raw = features(tmp_path, codes)
    assert feature_names(RING, features=tmp_path / "f.csv") == ["x=12", "x=13", "x=1_2"]
    right = [[code == "12", code == "13", code == "1_2"] for code in codes]
    assert by_id(raw, raw.feat) == dict(enumerate(np.array(right, float).tolist()))
    rows = "".join(f"{i},{code}\n" for i, code in enumerate(codes))
    raw = FileSource(RING, labels=written(tmp_path / "l.csv", "id,y\n" + rows)).load()
    assert raw.label_names == ["12", "13", "1_2"]


@pytest.mark.parametrize("weight", ["1_0", "1e39", "1e-60", "inf", "0"])
def test_weights_that_float32_cannot_keep_are_bad_rows(tmp_path, weight):
    path = written(tmp_path / "e.csv", f"src,dst,w\n1,2,{weight}\n2,3,1.5\n")
    with pytest.raises(UserError, match="line 2: weight 'w' is not positive and finite in float32"):
        FileSource(path, weight_column="w").load()
    raw = FileSource(path, weight_column="w", bad_rows="skip").load()
    assert raw.weight.tolist() == [1.5]


# --- columns that pandas makes, and columns of ids


def test_row_numbers_of_pandas_are_no_features(tmp_path, capsys):
    frame = pd.DataFrame({"id": range(20), "x": np.arange(20) * 1.5})
    mixed = frame.sample(frac=1, random_state=0)
    mixed.to_parquet(tmp_path / "f.parquet")
    mixed.to_csv(tmp_path / "0.csv")
    pd.read_csv(tmp_path / "0.csv").to_csv(tmp_path / "1.csv", index=False)
    assert "Unnamed: 0" in (tmp_path / "1.csv").read_text()
    for path in ("f.parquet", "1.csv"):
        raw = FileSource(RING, features=tmp_path / path).load()
        assert feature_names(RING, features=tmp_path / path) == ["x"]
        assert by_id(raw, raw.feat[:, 0]) == dict(zip(frame["id"], frame["x"], strict=True))
        assert "columns not taken: " in capsys.readouterr().err
    forced = FileSource(
        RING, features=tmp_path / "f.parquet", feature_columns=["__index_level_0__"]
    ).load()
    assert by_id(forced, forced.feat[:, 0]) == {i: float(i) for i in range(20)}


def test_a_first_column_that_may_number_the_edges_is_asked_about(tmp_path):
    text = "id,follower_id,followee_id\n1,10,20\n2,20,30\n3,30,10\n"
    path = written(tmp_path / "e.csv", text)
    with pytest.raises(UserError, match=r"'id' may number the rows.*--src-column and --dst-column"):
        FileSource(path).load()
    raw = FileSource(path, src_column="follower_id", dst_column="followee_id").load()
    assert edges(raw) == [(10, 20), (20, 30), (30, 10)]


def test_a_column_with_another_use_is_no_end_of_an_edge(tmp_path):
    path = written(tmp_path / "e.csv", "strength,a,b\n1.5,1,2\n2.5,2,3\n")
    assert edges(FileSource(path, weight_column="strength").load()) == [(1, 2), (2, 3)]


def test_a_named_index_of_edges_is_no_end_in_frames_and_parquet(tmp_path):
    frame = pd.DataFrame({"p": [3, 4, 5], "q": [4, 5, 3]}).rename_axis("row")
    frame.to_parquet(tmp_path / "e.parquet")
    for given in (frame, tmp_path / "e.parquet", pa.Table.from_pandas(frame)):
        assert edges(FileSource(given).load()) == [(3, 4), (4, 5), (5, 3)]
    both = frame.assign(w=[1.0, 2.0, 3.0]).set_index(["p", "q"])
    both.to_parquet(tmp_path / "b.parquet")
    for given in (both, tmp_path / "b.parquet"):
        assert edges(FileSource(given).load()) == [(3, 4), (4, 5), (5, 3)]


def test_a_named_index_of_features_holds_the_ids_in_frames_and_parquet(tmp_path, capsys):
    frame = pd.DataFrame({"x": range(19, -1, -1), "y": np.arange(20) * 2.5})
    frame = frame.rename_axis("user")
    frame.to_parquet(tmp_path / "range.parquet")  # keeps no values of this index
    FileSource(RING, features=tmp_path / "range.parquet").load()
    said = " ".join(capsys.readouterr().err.split())
    assert "the index 'user' of" in said
    assert "frame.reset_index() makes a column of it" in said
    frame = frame.sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "f.parquet")
    for given in (frame, tmp_path / "f.parquet"):
        raw = FileSource(RING, features=given, feature_columns=["x", "y"]).load()
        right = {i: [19.0 - i, i * 2.5] for i in range(20)}
        assert by_id(raw, raw.feat) == right
        assert "by 'user'" in " ".join(capsys.readouterr().err.split())


def test_ids_are_asked_for_if_another_column_than_the_first_has_a_name_like_them(tmp_path):
    rows = "".join(f"{19 - i},{i},{i % 3}\n" for i in range(20))
    path = written(tmp_path / "f.csv", "rank,userId,x\n" + rows)
    with pytest.raises(UserError, match="--id-column userId, or --id-column rank"):
        FileSource(RING, features=path).load()
    raw = FileSource(RING, features=path, id_column="userId", drop_columns=["rank"]).load()
    assert by_id(raw, raw.feat[:, 0]) == {i: float(i % 3) for i in range(20)}


def test_ids_that_may_be_in_an_unnamed_index_are_asked_for():
    """The index holds the ids here, and `x`, of the same numbers, is a feature."""
    x, y = [(i + 3) % 20 for i in range(20)], np.arange(20) * 2.0
    frame = pd.DataFrame({"x": x, "y": y}, index=range(20))
    for given in (frame, frame.sample(frac=1, random_state=0)):
        with pytest.raises(UserError, match=r"index, which has no name, or in column 'x'; give.*"):
            FileSource(RING, features=given).load()
        raw = FileSource(RING, features=given.rename_axis("id")).load()
        assert by_id(raw, raw.feat) == {i: [x[i], y[i]] for i in range(20)}
    raw = FileSource(RING, features=frame, id_column="x").load()
    assert by_id(raw, raw.feat[:, 0]) == dict(zip(x, y.tolist(), strict=True))


def test_an_unnamed_index_that_does_not_count_the_rows_is_warned_of(capsys):
    frame = pd.DataFrame({"p": [1, 2, 3], "q": [2, 3, 1]})
    FileSource(frame).load()
    assert "no name" not in capsys.readouterr().err
    FileSource(frame.set_index(pd.Index([7, 8, 9]))).load()
    assert "has no name, so it is not read" in " ".join(capsys.readouterr().err.split())
    FileSource(frame.rename(columns={"p": "src", "q": "dst"}).iloc[1:]).load()
    assert "no name" not in capsys.readouterr().err


def test_both_ends_in_one_column_are_refused():
    with pytest.raises(UserError, match="are both 'a'"):
        FileSource(RING, src_column="a", dst_column="a")


# --- categories and labels


@pytest.mark.parametrize("word", ["#N/A", "#DIV/0!", "NaT", "--", "n.a.", "-NaN", "1.#QNAN"])
def test_words_of_excel_and_pandas_are_missing_values(tmp_path, word):
    column = [i * 1.5 for i in range(19)] + [word]
    raw = features(tmp_path, column, fill_missing="mean")
    assert by_id(raw, raw.feat[:, 0])[19] == np.float32(np.mean(column[:19]))
    assert raw.counts["feature_values_filled"] == 1


def test_categories_and_their_odd_values_are_named(tmp_path, capsys):
    features(tmp_path, ["1", "2"] * 9 + ["unclear", "2"])
    said = " ".join(capsys.readouterr().err.split())
    assert "features from x category of 3 values, by 'id'" in said
    assert "1 of its 20 values are no numbers, such as 'unclear'" in said
    with pytest.raises(UserError, match=r"here 10; 1 of its 20 values are no numbers.*'unclear'"):
        features(tmp_path, [f"{i}.5" for i in range(19)] + ["unclear"])


def labels(folder: Path, rows: list[tuple], **options) -> RawGraph:
    text = "id,y\n" + "".join(f"{one},{y}\n" for one, y in rows)
    return FileSource(RING, labels=written(folder / "l.csv", text), **options).load()


@pytest.mark.parametrize("pair", [("True", "true"), ("1.0", "1"), ("red", "Red"), ("a b", "a  b")])
def test_classes_that_differ_in_writing_only_are_warned_of(tmp_path, capsys, pair):
    raw = labels(tmp_path, [(i, [*pair, "zz"][i % 3]) for i in range(20)])
    assert sorted(raw.label_names) == sorted([*pair, "zz"])
    said = capsys.readouterr().err
    assert "differ only in the way they are written" in " ".join(said.split())


def test_a_class_of_unknown_ids_only_is_none(tmp_path):
    raw = labels(tmp_path, [(i, "cab"[i % 3]) for i in range(20)] + [(99, "aa")])
    assert raw.label_names == ["a", "b", "c"]
    assert by_id(raw, raw.label) == {i: [2, 0, 1][i % 3] for i in range(20)}
    assert raw.counts["labels_of_unknown_ids"] == 1


def test_label_ids_that_miss_the_graph_by_a_decimal_point_are_refused(tmp_path):
    rows = [(f"{i}.0" if i % 2 else i, i % 3) for i in range(20)]
    for some in (rows, rows[1::2]):
        with pytest.raises(UserError, match=r"10 ids, such as '1\.0'.*Give --id-type int"):
            labels(tmp_path, some)
    raw = labels(tmp_path, rows, id_type="int")
    assert by_id(raw, raw.label) == {i: i % 3 for i in range(20)}


def test_label_ids_that_nearly_are_those_of_the_graph_are_named(tmp_path, capsys):
    labels(tmp_path, [(f"{i:02d}", i % 3) for i in range(20)])
    said = " ".join(capsys.readouterr().err.split())
    assert "10 ids of" in said
    assert "such as '00', differ from ids of the graph only by leading zeros" in said
    names = pa.table({"src": ["Ann", "Bob", "Eve"], "dst": ["Bob", "Eve", "Ann"]})
    path = written(tmp_path / "n.csv", "id,y\nAnn,1\nbob,2\nEVE,1\n")
    raw = FileSource(names, labels=path).load()
    assert raw.counts["labels_of_unknown_ids"] == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "2 ids of" in said
    assert "'bob', differ from ids of the graph only by upper and lower case" in said


# --- JSON lines


def test_a_broken_line_of_json_is_a_bad_row(tmp_path):
    lines = ['{"src": 1, "dst": 2}', '{"src": 2, "dst"', "[3, 4]", '{"src": 3, "dst": 1}']
    path = written(tmp_path / "e.jsonl", "\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"line 2: it is no JSON object.*\"dst\" .*--bad-rows skip"):
        FileSource(path).load()
    raw = FileSource(path, bad_rows="skip", bad_rows_file=tmp_path / "rows.csv").load()
    assert edges(raw) == [(1, 2), (3, 1)]
    assert raw.counts["bad_rows_skipped"] == 2
    assert pd.read_csv(tmp_path / "rows.csv")["line"].tolist() == [2, 3]


@pytest.mark.parametrize("id_type", ["auto", "str"])
def test_json_ids_of_numbers_and_text_are_text(tmp_path, id_type):
    text = '{"src": 1, "dst": "x"}\n{"src": "x", "dst": "y"}\n{"src": "y", "dst": 1}\n'
    raw = FileSource(written(tmp_path / "e.jsonl", text), id_type=id_type).load()
    assert edges(raw) == [("1", "x"), ("x", "y"), ("y", "1")]


# --- features like those of another store


def like_store(folder: Path, name: str, rows: pd.DataFrame, **options):
    how = {"valid": 1, "test": 1, "negatives": 2, "first_hop": False}
    return hvdtma.build(folder / name, edges=RING, features=rows, **how, **options)


def feat_of(store) -> dict:
    ids = store.node_ids(0, store.num_nodes).to_list()
    return dict(zip(ids, store.read("feat", 0, store.num_nodes).tolist(), strict=True))


def test_categories_and_columns_of_another_store_are_found_again(tmp_path):
    rows = pd.DataFrame({"id": range(20), "x": np.arange(20) * 2.0})
    old = rows.assign(c=["abc"[i % 3] for i in range(20)])
    like_store(tmp_path, "old.zarr", old)
    for later in (
        rows.assign(c=["ab"[i % 2] for i in range(20)]),
        rows.assign(c=["abd"[i % 3] for i in range(20)]),
        rows.assign(x=np.arange(20) * 1.0, c=["b"] * 20),
        pd.DataFrame({"id": range(3), "x": [4.0, 5.0, 7.0], "c": list("cab")}),
    ):
        store = like_store(tmp_path, "new.zarr", later, features_like=str(tmp_path / "old.zarr"))
        found = feat_of(store)
        for one, x, c in later.itertuples(index=False, name=None):
            assert found[one] == [x, c == "a", c == "b", c == "c"]
        (tmp_path / "new.zarr").rename(tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr")


def test_a_column_that_the_user_names_is_taken_though_it_numbers_the_rows(tmp_path):
    raw = features(tmp_path, list(range(20)), feature_columns=["x"])
    assert by_id(raw, raw.feat[:, 0]) == {i: float(i) for i in range(20)}


# --- values that are too large, and options without effect


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e300"])
@pytest.mark.parametrize("fill", ["error", "zero", "mean"])
def test_infinite_features_are_not_missing(tmp_path, value, fill):
    column = [i * 1.5 for i in range(19)] + [value]
    with pytest.raises(UserError, match=r"'x' of node 19 is .*not missing, so it is not filled"):
        features(tmp_path, column, fill_missing=fill)


def test_float_ids_as_text_have_a_remedy():
    frame = pd.DataFrame({"id": [1.0, 2.0], "x": [1.5, 2.5]})
    with pytest.raises(UserError, match=r"id' of .* holds DOUBLE.*CAST\(id AS VARCHAR\)"):
        FileSource(RING, features=frame, id_type="str").load()


@pytest.mark.parametrize(
    ("option", "value", "lacks"),
    [
        ("label_column", "y", "--labels"),
        ("label_kind", "real", "--labels"),
        ("feature_columns", ["x"], "--features"),
        ("drop_columns", ("x",), "--features"),
        ("fill_missing", "mean", "--features"),
        ("id_column", "x", "--features or --labels or --splits"),
        ("bad_rows_file", "rows.csv", "--bad-rows skip"),
    ],
)
def test_options_without_effect_are_refused(option, value, lacks):
    with pytest.raises(UserError, match=f"has no effect without {lacks}"):
        FileSource(RING, **{option: value}).load()


def test_options_of_tables_are_refused_for_arrays(tmp_path):
    np.save(tmp_path / "f.npy", np.ones((20, 2)))
    with pytest.raises(UserError, match=r"--fill-missing has no effect for '.*f\.npy'"):
        FileSource(RING, features=tmp_path / "f.npy", fill_missing="zero").load()
