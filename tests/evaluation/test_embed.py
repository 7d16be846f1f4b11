"""Embeddings of all nodes: the full neighbourhood, in pieces, keyed by the user's ids."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import zarr
from processes import small_disk
from small_graphs import sample_neighbourhood

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation import embed as module
from hvdtma.evaluation import write as writing
from hvdtma.evaluation.embed import ScoringBudget, embed
from hvdtma.evaluation.sampled import embed_sampled
from hvdtma.evaluation.write import write_embeddings
from hvdtma.graph import neighbour_means
from hvdtma.graph.stored_rows import gather
from hvdtma.graph.stream import row_ranges
from hvdtma.sampling.shard import load_shard
from hvdtma.storage import row_file
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.row_file import RowFile
from hvdtma.tasks import make_model, make_task


def model_for(store, encoder: str, first_hop: bool):
    config = parse_config(
        {
            "store": str(store.path),
            "run": "r",
            "rounds": 1,
            "first_hop": first_hop,
            "model": {"encoder": encoder, "hidden": 8, "dropout": 0.5, "norm": "batch"},
        }
    )
    return make_model(config, store, make_task(config, store))


def close(left: np.ndarray, right: np.ndarray) -> bool:
    """Equal up to float32 rounding at the scale of the values."""
    return bool(np.abs(left - right).max() <= 1e-5 * np.abs(right).max())


CASES = [
    ("sage", True),
    ("sage", False),
    ("gcn", True),
    ("gcn", False),
    ("gat", False),
    ("mlp", False),
]


@pytest.mark.parametrize(("encoder", "first_hop"), CASES)
def test_layer_by_layer_is_the_whole_neighbourhood_at_once(community_store, encoder, first_hop):
    model = model_for(community_store, encoder, first_hop).eval()
    shard = load_shard(community_store, np.arange(community_store.num_blocks), first_hop=first_hop)
    hops = [-1] * model.num_blocks
    around = sample_neighbourhood(shard, torch.arange(shard.num_nodes), hops, random_seed=0)
    with torch.no_grad():
        expected = model.encoder(around.blocks, around.x, around.first_hop)
    assert close(embed(model, community_store), expected.numpy())


@pytest.mark.parametrize(("encoder", "first_hop"), CASES)
def test_working_in_small_pieces_and_in_scratch_files_changes_nothing(
    community_store, encoder, first_hop, monkeypatch, tmp_path
):
    model = model_for(community_store, encoder, first_hop)
    whole = embed(model, community_store)
    monkeypatch.setattr(module, "EDGES_AT_ONCE", 50)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(row_file, "READ_BYTES", 100)
    monkeypatch.setattr(neighbour_means, "BAND_BYTES", 500)
    done = []
    room = ScoringBudget(9000, tmp_path)
    pieces = embed(model, community_store, progress=done.append, budget=room)
    assert isinstance(pieces, RowFile)
    assert close(pieces[:], whole)
    nodes = np.random.default_rng(0).integers(0, community_store.num_nodes, 100)
    assert (gather(pieces, nodes) == pieces[:][nodes]).all()
    assert done == sorted(done)
    assert done[-1] == 1.0
    assert model.training
    assert not any(tmp_path.iterdir())  # a file without a name


def test_a_lost_scratch_folder_is_said(community_store, tmp_path):
    model = model_for(community_store, "sage", True)
    with pytest.raises(UserError, match=r"scratch_dir .*gone cannot be written to"):
        embed(model, community_store, budget=ScoringBudget(0, tmp_path / "gone"))


@pytest.mark.parametrize(("encoder", "first_hop"), CASES)
def test_a_sample_of_all_neighbours_is_the_full_embedding(community_store, encoder, first_hop):
    model = model_for(community_store, encoder, first_hop)
    nodes = np.random.default_rng(1).permutation(community_store.num_nodes)[:50]
    sampled = embed_sampled(model, community_store, nodes, [-1] * model.num_blocks, seed=0)
    assert close(sampled, embed(model, community_store)[nodes])


def test_ranges_cover_every_row_once_and_hold_few_edges():
    indptr = np.cumsum([0, 3, 0, 50, 2, 2, 2, 2, 2, 0])
    ranges = list(row_ranges(indptr + np.arange(len(indptr)), 10))
    assert [a for a, _ in ranges] == [0] + [b for _, b in ranges[:-1]]
    assert ranges[-1][1] == 9
    for start, stop in ranges:
        assert stop == start + 1 or indptr[stop] - indptr[start] + stop - start <= 10


@pytest.mark.parametrize("name", ["emb.parquet", "emb.zarr"])
@pytest.mark.parametrize("which", ["community", "typed"])
@pytest.mark.parametrize("rows_at_once", [7, writing.ROWS_AT_ONCE])
def test_embeddings_are_keyed_by_the_users_own_ids(
    request, tmp_path, name, which, rows_at_once, monkeypatch
):
    monkeypatch.setattr(writing, "ROWS_AT_ONCE", rows_at_once)
    store = request.getfixturevalue(f"{which}_store")
    raw = request.getfixturevalue(f"{which}_raw")
    model = model_for(store, "sage", True)
    out = tmp_path / name
    assert write_embeddings(model, store, out) == (store.num_nodes, 8)
    if name.endswith("parquet"):
        table = pq.read_table(out)
        ids = table["id"].to_pylist()
        vectors = np.array(table["embedding"].to_pylist(), dtype=np.float32)
    else:
        group = zarr.open_group(out, mode="r")
        parts = {key: group["node_id"][key][...] for key in group["node_id"].array_keys()}
        ids = NodeIds.from_arrays(parts).to_list()
        vectors = group["embedding"][...]
    assert sorted(ids) == sorted(raw.node_id.to_list())
    expected = dict(zip(store.node_ids().to_list(), embed(model, store), strict=True))
    assert all(np.array_equal(expected[id_], row) for id_, row in zip(ids, vectors, strict=True))


def test_a_numpy_file_has_its_ids_beside_it(typed_store, tmp_path):
    model = model_for(typed_store, "sage", True)
    write_embeddings(model, typed_store, tmp_path / "emb.npy")
    rows = np.load(tmp_path / "emb.npy")
    assert rows.dtype == np.float32
    assert np.array_equal(rows, embed(model, typed_store))
    ids = pq.read_table(tmp_path / "emb.ids.parquet")["id"].to_pylist()
    assert ids == typed_store.node_ids().to_list()
    (tmp_path / "emb.npy").unlink()
    with pytest.raises(UserError, match=r"emb\.ids\.parquet exists"):
        write_embeddings(model, typed_store, tmp_path / "emb.npy")


@pytest.mark.parametrize("name", ["emb.parquet", "emb.zarr"])
def test_a_full_disk_is_named_and_left_as_it_was(community_store, tmp_path, name):
    model = model_for(community_store, "sage", True)
    with small_disk(tmp_path / "disk", "16k") as disk:
        with pytest.raises(UserError, match=rf"disk of {disk} is full.*nothing is left behind"):
            write_embeddings(model, community_store, disk / name)
        assert list(disk.iterdir()) == []


def test_an_existing_or_misnamed_output_is_refused(community_store, tmp_path):
    model = model_for(community_store, "sage", True)
    (tmp_path / "emb.parquet").write_text("mine")
    with pytest.raises(UserError, match="exists"):
        write_embeddings(model, community_store, tmp_path / "emb.parquet")
    with pytest.raises(UserError, match=r"valid: \.parquet, \.npy, \.zarr"):
        write_embeddings(model, community_store, tmp_path / "emb.csv")
    assert (tmp_path / "emb.parquet").read_text() == "mine"
