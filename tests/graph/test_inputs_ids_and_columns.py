"""Which columns hold the ids, and which values are ids, classes, features or missing.

The right values are computed by hand, by pandas and by NumPy.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

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
