"""Trainers and scoring of a typed graph hold no more than memory_gb: measured, not assumed."""

import json

import numpy as np
import pytest
from processes import peak_gib

from hvdtma.core.config import dump_config
from hvdtma.core.train_config import parse_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.typed.schema import EdgeType
from hvdtma.graph.typed.source import NodesOfType, TypedGraph
from hvdtma.sampling.budget import ShardFootprint
from hvdtma.storage.node_ids import NodeIds
from hvdtma.training.budget import resident_sets, run_requirement

USERS, ITEMS, EDGES = 150_000, 100_000, 700_000
BEYOND_GB = 0.12  # what the limit leaves beside the least that is asked for


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A graph of which a shard takes 0.4 GiB; few users like anything."""
    rng = np.random.default_rng(0)
    nodes = {
        "user": NodesOfType(NodeIds.counted(USERS), rng.random((USERS, 128), np.float32)),
        "item": NodesOfType(NodeIds.counted(ITEMS), rng.random((ITEMS, 256), np.float32)),
    }
    edges = {
        EdgeType("user", "buys", "item"): (
            rng.integers(0, USERS, EDGES),
            rng.integers(0, ITEMS, EDGES),
        ),
        EdgeType("user", "likes", "item"): (
            rng.integers(0, USERS // 50, EDGES // 10),
            rng.integers(0, ITEMS // 50, EDGES // 10),
        ),
    }
    options = BuildOptions(valid=500, test=500, negatives=20)
    path = tmp_path_factory.mktemp("large") / "x.zarr"
    return build(path, TypedGraph(nodes, edges, add_reverse=True), options)


def config_of(store, folder, **changes):
    values = {
        "store": str(store.path),
        "run": str(folder / "run"),
        "interval_steps": 20,
        "rounds": 2,
        "model": {"hidden": 32, "fanouts": [3, 3]},
        "task": {"batch_size": 64, "num_negatives": 16},
        "sampler": {"name": "neighbour"},
        "evaluate": {"mode": "final"},
    }
    return parse_config(values | changes)


def test_the_first_hop_has_rows_only_where_there_are_edges(store):
    number = store.edge_type_names.index("user:likes:item")
    assert store.array(f"first_hop/{number}").shape == (ITEMS // 50, 128)
    everywhere = store.schema.hop_dim(1) * ITEMS + store.schema.hop_dim(0) * USERS
    rows = sum(store.array(f"first_hop/{r}").size for r in range(len(store.schema.ends)))
    assert rows < 0.6 * everywhere


def test_training_out_of_core_and_scoring_stay_under_the_limit(store, tmp_path):
    free = config_of(store, tmp_path)
    footprint = ShardFootprint.of(store, first_hop=True)
    assert footprint.num_bytes(store.num_nodes, store.num_edges) > 0.4 * 2**30
    block_nodes = np.diff(store.block_offsets)
    least = run_requirement(free, store, store.num_nodes, int(block_nodes.max()))
    limit_gb = least.total_bytes / 2**30 + BEYOND_GB
    config = config_of(store, tmp_path, memory_gb=limit_gb)
    assert resident_sets(config, store, block_nodes) > 2
    file = tmp_path / "config.yaml"
    dump_config(config, file)
    assert peak_gib("train", file) < limit_gb
    summary = json.loads((config.run / "summary.json").read_text())
    assert summary["per_trainer"][0]["bytes_read"] > 0
    assert np.isfinite(summary["test"]["mrr"])
    assert peak_gib("embed", config.run, "--out", tmp_path / "e.zarr") < limit_gb
