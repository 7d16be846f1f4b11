"""Scoring reads weights as training does: layer by layer, in pieces, and by samples."""

import numpy as np
import pytest
import torch
from small_graphs import community_graph, sample_neighbourhood

from hvdtma.core.train_config import parse_config
from hvdtma.evaluation import embed as module
from hvdtma.evaluation.embed import embed
from hvdtma.evaluation.sampled import embed_sampled
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import make_model, make_task

CASES = [("sage", True), ("sage", False), ("gcn", True), ("gcn", False), ("gat", False)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The undirected graph of communities with weights over four decades."""
    raw = community_graph()
    raw.weight = 10 ** np.random.default_rng(5).uniform(-2, 2, len(raw.src))
    path = tmp_path_factory.mktemp("stores") / "weighted.zarr"
    return build(path, raw, BuildOptions(negatives=20, block_nodes=10))


def model_for(store, encoder, first_hop):
    model = {"encoder": encoder, "hidden": 8}
    config = {"store": str(store.path), "run": "r", "rounds": 1, "first_hop": first_hop}
    config = parse_config(config | {"model": model})
    return make_model(config, store, make_task(config, store)).eval()


def close(left, right):
    return np.abs(left - right).max() <= 1e-5 * np.abs(right).max()


@pytest.mark.parametrize(("encoder", "first_hop"), CASES)
def test_every_way_to_embed_gives_the_same(store, encoder, first_hop, monkeypatch):
    model = model_for(store, encoder, first_hop)
    shard = load_shard(store, np.arange(store.num_blocks), first_hop=first_hop)
    hops = [-1] * model.num_blocks
    around = sample_neighbourhood(shard, torch.arange(shard.num_nodes), hops, random_seed=0)
    with torch.no_grad():
        expected = model.encoder(around.blocks, around.x, around.first_hop).numpy()
    assert close(embed(model, store), expected)
    some = np.array([3, 99, 401])
    assert close(embed_sampled(model, store, some, hops, seed=0), expected[some])
    monkeypatch.setattr(module, "EDGES_AT_ONCE", 50)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    assert close(embed(model, store), expected)


@pytest.mark.parametrize(("encoder", "first_hop"), CASES)
def test_weights_change_the_embeddings(store, encoder, first_hop, tmp_path):
    plain = build(
        tmp_path / "p.zarr", community_graph(), BuildOptions(negatives=20, block_nodes=10)
    )
    model = model_for(store, encoder, first_hop)
    assert (plain.read("indices") == store.read("indices")).all()
    assert not close(embed(model, plain), embed(model, store))


def test_sampled_scoring_estimates_scoring_on_all_neighbours(store):
    model = model_for(store, "sage", True)
    nodes = np.arange(store.num_nodes)
    exact = embed(model, store)
    errors = [
        np.abs(embed_sampled(model, store, nodes, [fanout], seed=1) - exact).mean()
        for fanout in (1, 4, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 10
