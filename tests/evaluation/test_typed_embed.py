"""Embeddings of typed graphs are those of whole neighbourhoods, whatever the memory.

Legend: N nodes, H hidden.
"""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typed_graphs import shop_store

from hvdtma.core.train_config import parse_config
from hvdtma.evaluation import budget, typed_embed
from hvdtma.evaluation.embed import ScoringBudget, embed
from hvdtma.evaluation.sampled import embed_sampled
from hvdtma.evaluation.write import write_embeddings
from hvdtma.sampling.neighbour_sampler import NeighbourSampler
from hvdtma.sampling.typed_shard import load_any_shard
from hvdtma.storage.row_file import RowFile
from hvdtma.tasks import make_model, make_task


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop_store(tmp_path_factory.mktemp("embed") / "g.zarr")


def model_of(store, encoder="rgcn", first_hop=True, **model):
    settings = {"encoder": encoder, "hidden": 8, "heads": 2, **model}
    config = parse_config(
        {
            "store": str(store.path),
            "run": "unused",
            "rounds": 1,
            "first_hop": first_hop,
            "model": settings,
        }
    )
    return config, make_model(config, store, make_task(config, store)).eval()


def whole_neighbourhoods(store, config, model):
    """The embeddings of all nodes from a shard of the whole graph."""
    shard = load_any_shard(store, np.arange(store.num_blocks), first_hop=config.first_hop)
    sampler = NeighbourSampler([-1] * model.num_blocks)
    hood = sampler.sample(shard, torch.arange(store.num_nodes), random_seed=0)
    return hood.embedded_by(model.encoder).detach().numpy()


@pytest.mark.parametrize(
    ("encoder", "first_hop"), [("rgcn", True), ("rgcn", False), ("rgat", False)]
)
def test_layer_by_layer_is_the_whole_neighbourhood(store, monkeypatch, encoder, first_hop):
    config, model = model_of(store, encoder, first_hop)
    expected = whole_neighbourhoods(store, config, model)
    np.testing.assert_allclose(embed(model, store), expected, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(typed_embed, "ROWS_AT_ONCE", 8)
    monkeypatch.setattr(typed_embed, "TYPED_EDGES_AT_ONCE", 64)
    rows = embed(model, store, budget=ScoringBudget(1000))
    assert isinstance(rows, RowFile)
    np.testing.assert_allclose(rows[0 : store.num_nodes], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("first_hop", [True, False])
def test_nodes_in_any_order_have_the_same_embeddings_from_all_neighbours(store, first_hop):
    _, model = model_of(store, first_hop=first_hop)
    nodes = np.random.default_rng(1).permutation(store.num_nodes)[:70]
    found = embed_sampled(model, store, nodes, [-1] * model.num_blocks, seed=3)
    np.testing.assert_allclose(found, embed(model, store)[nodes], rtol=1e-3, atol=1e-4)
    one, other = (
        embed_sampled(model, store, nodes, [2] * model.num_blocks, seed=s) for s in (3, 3)
    )
    np.testing.assert_array_equal(one, other)


def test_written_embeddings_name_the_type_of_every_node(store, tmp_path):
    _, model = model_of(store)
    write_embeddings(model, store, tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.column_names == ["type", "id", "embedding"]
    kinds = table.column("type").to_pylist()
    counts = {name: kinds.count(name) for name in set(kinds)}
    assert counts == dict(zip(store.schema.node_types, store.schema.sizes, strict=True))
    np.testing.assert_allclose(
        np.array(table.column("embedding").to_pylist(), np.float32), embed(model, store)
    )


def test_the_memory_to_score_counts_the_widest_type(store):
    config, _ = model_of(store)
    more = model_of(store, hidden=64)[0]
    least, most = (budget.scoring_requirement(c, store).work_bytes for c in (config, more))
    assert 0 < least <= most
