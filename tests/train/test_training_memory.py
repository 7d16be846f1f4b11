"""A trainer, its scoring and `hvdtma embed` hold no more than memory_gb: measured, not assumed."""

import json

import numpy as np
import pytest
import yaml
from processes import peak_gib

from hvdtma.config import parse_config
from hvdtma.graph.build import BuildOptions, build
from hvdtma.graph.sources import load_source
from hvdtma.shard.footprint import Footprint
from hvdtma.train.memory import resident_sets

LIMIT_GB = 1.1


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A graph of which a shard takes 0.6 GiB."""
    source = load_source("synthetic:nodes=300000,edges=3000000,features=256", seed=0)
    options = BuildOptions(valid=500, test=500, negatives=20)
    return build(tmp_path_factory.mktemp("large") / "x.zarr", source, options)


def config_of(store, folder, **changes):
    values = {
        "store": str(store.path),
        "run": str(folder / "run"),
        "memory_gb": LIMIT_GB,
        "interval_steps": 40,
        "rounds": 2,
        "model": {"hidden": 32},
        "task": {"batch_size": 64},
        "evaluate": {"mode": "final"},
    }
    return parse_config(values | changes)


def test_training_scoring_and_embedding_stay_under_the_limit(store, tmp_path):
    config = config_of(store, tmp_path)
    footprint = Footprint.of(store, first_hop=True)
    assert footprint.bytes_of(store.num_nodes, store.num_edges) > 0.55 * 2**30
    assert resident_sets(config, store, np.arange(store.num_blocks)) > 2
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_none=True)))
    assert peak_gib("train", path) < LIMIT_GB
    summary = json.loads((config.run / "summary.json").read_text())
    assert summary["per_trainer"][0]["peak_rss_bytes"] < LIMIT_GB * 2**30
    assert summary["per_trainer"][0]["bytes_read"] > 0
    assert peak_gib("embed", config.run, "--out", tmp_path / "e.zarr", "--memory-gb", 0.8) < 0.8
