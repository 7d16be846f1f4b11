"""A store does not depend on how little of its files is in memory at a time."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from processes import peak_gib

from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, MemoryBudget
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.ingest import (
    FileSource,
    edge_arrays,
    feature_rows,
    features,
    file_graph,
    opening,
)
from hvdtma.graph.ingest.feature_rows import FileRows
from hvdtma.tables import features as arrays
from hvdtma.tables.database import DATABASE_BYTES

NUM_NODES, NUM_EDGES, DIM = 300, 2000, 3
EDGE_NAMES = ["e.csv", "e.tsv.gz", "e.parquet", "pairs.npy", "turned.npy", "e.npz", "packed.npz"]
OPTIONS = BuildOptions(valid=20, test=30, negatives=4)


def names(numbers: np.ndarray, strings: bool) -> np.ndarray:
    return np.char.add("n-", numbers.astype(str)) if strings else numbers


def write_edges(path, strings: bool):
    rng = np.random.default_rng(0)
    src, dst = (names(end, strings) for end in rng.integers(0, NUM_NODES, (2, NUM_EDGES)))
    kind = rng.choice(["likes", "knows", "owes"], NUM_EDGES)
    if path.name in ("e.csv", "e.tsv.gz", "e.parquet"):
        table = pa.table({"src": src.tolist(), "kind": kind.tolist(), "dst": dst.tolist()})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=700)
    elif path.name == "e.csv":
        pyarrow.csv.write_csv(table, path)
    elif path.name == "e.tsv.gz":
        rows = zip(src, kind, dst, strict=True)
        lines = ["src\tkind\tdst", *("\t".join(map(str, row)) for row in rows)]
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    elif path.name == "pairs.npy":
        np.save(path, np.stack([src, dst], axis=1))
    elif path.name == "turned.npy":
        np.save(path, np.asfortranarray(np.stack([src, dst], axis=1)))
    else:
        save = np.savez_compressed if path.name == "packed.npz" else np.savez
        save(path, src=src, dst=dst, kind=kind)


def write_features(path, strings: bool):
    """Of most nodes, and of some that have no edge; by id unless it is NPY."""
    rng = np.random.default_rng(1)
    feat = rng.standard_normal((NUM_NODES + 20, DIM)).astype(np.float32)
    order = rng.permutation(len(feat))[50:]
    ids = names(order, strings)
    if path.suffix == ".npy":
        np.save(path, feat)
    elif path.suffix == ".npz":
        np.savez(path, ids=ids, feat=feat[order].astype(np.float16))
    else:
        table = pa.table({"id": ids.tolist(), "vec": feat[order].tolist()})
        pq.write_table(table, path, row_group_size=90)


def small_pieces(monkeypatch):
    """Few rows at a time of everything, and no features in memory."""
    monkeypatch.setattr(file_graph, "EDGES_PER_BATCH", 60)
    monkeypatch.setattr(edge_arrays, "ROWS_PER_PIECE", 60)
    for module in (features, feature_rows, arrays):
        monkeypatch.setattr(module, "PIECE_BYTES", 400)
    monkeypatch.setattr(arrays, "_IDS_PER_PIECE", 60)
    monkeypatch.setattr(opening, "BASE_BYTES", 1 << 50)


def both_ways(given: FileSource, folder, monkeypatch):
    """Checksums and counts from the whole graph in memory, and from small pieces of it."""
    whole = build(folder / "whole.zarr", given.load(), OPTIONS)
    with monkeypatch.context() as patch:
        small_pieces(patch)
        graph = given.open(MemoryBudget(BASE_BYTES + DATABASE_BYTES + 2 * LEAST_WORK_BYTES), folder)
        assert given.features is None or isinstance(graph.feat, FileRows)
        assert sum(1 for _ in graph.edge_batches()) > 10
        patch.setattr(MemoryBudget, "available", lambda *_: 4000)
        pieces = build(folder / "pieces.zarr", graph, OPTIONS)
    for key in ("checksums", "counts", "edge_type_names", "label_names", "num_edges"):
        assert pieces.attrs[key] == whole.attrs[key]
    return pieces


@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("name", EDGE_NAMES)
def test_edges_of_every_format_give_the_same_store_in_pieces(tmp_path, monkeypatch, name, strings):
    write_edges(tmp_path / name, strings)
    typed = not name.endswith("npy")
    given = FileSource(tmp_path / name, undirected=strings, type_column="kind" if typed else None)
    store = both_ways(given, tmp_path, monkeypatch)
    assert store.edge_type_names == (["knows", "likes", "owes"] if typed else [])


@pytest.mark.parametrize(
    ("name", "strings"), [("f.npy", False), ("f.npz", True), ("f.parquet", True)]
)
@pytest.mark.parametrize("order", ["random", "given"])
def test_features_and_labels_follow_their_ids_in_pieces(
    tmp_path, monkeypatch, name, strings, order
):
    write_edges(tmp_path / "e.csv", strings)
    write_features(tmp_path / name, strings)
    ids = names(np.arange(NUM_NODES), strings)
    lines = [f"{node},{number % 7}" for number, node in enumerate(ids)]
    (tmp_path / "l.csv").write_text("\n".join(["id,label", *lines, lines[0]]))
    given = FileSource(tmp_path / "e.csv", tmp_path / name, tmp_path / "l.csv")
    store = both_ways(given, tmp_path, monkeypatch)
    assert store.attrs["counts"]["labels_repeated"] == 1
    assert ("ids_without_features" in store.attrs["counts"]) == (name != "f.npy")


def test_given_splits_take_their_pairs_out_of_edges_in_pieces(tmp_path, monkeypatch):
    write_edges(tmp_path / "e.csv", False)
    rng = np.random.default_rng(3)
    pairs = {part: rng.integers(0, 200, (40, 2)) for part in ("train", "valid", "test")}
    np.savez(tmp_path / "s.npz", **pairs)
    both_ways(FileSource(tmp_path / "e.csv", splits=tmp_path / "s.npz"), tmp_path, monkeypatch)


def test_a_value_that_is_not_finite_is_named_when_features_are_read_in_pieces(
    tmp_path, monkeypatch
):
    (tmp_path / "e.csv").write_text("src,dst\n" + "".join(f"{i},{i + 1}\n" for i in range(400)))
    feat = np.ones((401, DIM))
    feat[333, 2] = np.nan
    np.save(tmp_path / "f.npy", feat)
    small_pieces(monkeypatch)
    graph = FileSource(tmp_path / "e.csv", tmp_path / "f.npy").open()
    with pytest.raises(UserError, match="feature 2 of node 333 is NaN"):
        build(tmp_path / "x.zarr", graph, OPTIONS)


def test_features_by_column_or_to_be_reduced_must_fit_in_memory(tmp_path, monkeypatch):
    (tmp_path / "e.csv").write_text("src,dst\n" + "".join(f"{i},{i + 1}\n" for i in range(400)))
    feat = np.arange(401 * DIM, dtype=np.float32).reshape(401, DIM)
    np.save(tmp_path / "column.npy", np.asfortranarray(feat))
    np.save(tmp_path / "row.npy", feat)
    by_column = FileSource(tmp_path / "e.csv", tmp_path / "column.npy")
    assert (by_column.load().feat == feat).all()
    small_pieces(monkeypatch)
    with pytest.raises(UserError, match=r"np\.ascontiguousarray"):
        by_column.open()
    graph = FileSource(tmp_path / "e.csv", tmp_path / "row.npy").open()
    with pytest.raises(UserError, match="--feature-dim 2 needs all features in memory"):
        build(tmp_path / "x.zarr", graph, BuildOptions(valid=1, test=1, feature_dim=2))


def test_a_file_that_is_cut_off_is_a_user_error(tmp_path):
    np.save(tmp_path / "e.npy", np.arange(2000).reshape(-1, 2))
    data = (tmp_path / "e.npy").read_bytes()
    (tmp_path / "e.npy").write_bytes(data[:-100])
    with pytest.raises(UserError, match="ends before its array does"):
        FileSource(tmp_path / "e.npy").load()


def test_a_file_that_changes_after_it_was_read_does_not_matter(tmp_path):
    (tmp_path / "e.csv").write_text("1,2\n3,4\n5,6\n")
    graph = FileSource(tmp_path / "e.csv").open(folder=tmp_path)
    (tmp_path / "e.csv").write_text("1,2\n3,9\n")
    store = build(tmp_path / "x.zarr", graph, BuildOptions(valid=1, test=1, negatives=1))
    assert store.num_nodes == 6
    graph.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.csv", "x.zarr"]


def test_a_build_stays_within_its_memory_limit(tmp_path):
    rng = np.random.default_rng(0)
    ends = [pa.array(end) for end in rng.integers(0, 20_000, (2, 12_000_000))]  # 0.18 GiB; 0.72
    pyarrow.csv.write_csv(pa.table(ends, ["src", "dst"]), tmp_path / "e.csv")  # as it is scattered
    np.save(tmp_path / "f.npy", np.ones((20_000, 2), np.float32))
    files = ["--edges", tmp_path / "e.csv", "--features", tmp_path / "f.npy"]
    small = ["--memory-gb", "1.0", "--valid", "100", "--test", "100", "--no-first-hop"]
    assert peak_gib("build", tmp_path / "x.zarr", *files, *small) < 1.0
