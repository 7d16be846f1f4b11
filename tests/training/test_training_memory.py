"""A trainer, its scoring, `hvdtma embed` and `recommend` hold no more than memory_gb: measured."""

import json
import re

import numpy as np
import pytest
import yaml
from processes import peak_gib

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.sources import load_source
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.sampling.budget import ShardFootprint
from hvdtma.training.budget import check_memory, resident_sets

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


def written(config, folder):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_none=True)))
    return path


def test_training_scoring_embedding_and_recommending_stay_under_the_limit(store, tmp_path):
    config = config_of(store, tmp_path)
    footprint = ShardFootprint.of(store, first_hop=True)
    assert footprint.num_bytes(store.num_nodes, store.num_edges) > 0.55 * 2**30
    assert resident_sets(config, store, np.diff(store.block_offsets)) > 2
    assert peak_gib("train", written(config, tmp_path)) < LIMIT_GB
    summary = json.loads((config.run / "summary.json").read_text())
    assert summary["per_trainer"][0]["peak_rss_bytes"] < LIMIT_GB * 2**30
    assert summary["per_trainer"][0]["bytes_read"] > 0
    assert peak_gib("embed", config.run, "--out", tmp_path / "e.zarr", "--memory-gb", 0.85) < 0.85
    ids = tmp_path / "ids.csv"
    ids.write_text("id\n" + "\n".join(map(str, range(0, 300_000, 100))) + "\n")
    asked = ("--nodes", ids, "-k", 20, "--out", tmp_path / "best.parquet", "--memory-gb", 0.85)
    assert peak_gib("recommend", config.run, *asked) < 0.85


WIDE = {"model": {"hidden": 256}, "task": {"batch_size": 1024}}
SHARED = {"batch_size": 1024, "decoder": "mlp", "share_negatives": True, "num_negatives": 256}
PAIRS = {"model": {"hidden": 128}, "task": SHARED}
SAMPLED = {"evaluate": {"mode": "final", "sample": 50}, "model": {"hidden": 256}}
WHOLE = {"first_hop": False, "model": {"hidden": 64, "fanouts": [5, 5]}}


@pytest.mark.parametrize(
    "changes",
    [{}, WIDE, PAIRS, SAMPLED, WHOLE],
    ids=["", "wide", "pairs", "sampled", "whole"],
)
def test_the_memory_that_a_refusal_names_is_enough_and_a_little_less_is_refused_at_once(
    hvdtma, store, tmp_path, changes
):
    def refusal(memory_gb: float) -> str:
        config = config_of(store, tmp_path, memory_gb=memory_gb, **changes)
        status, _, err = hvdtma("train", written(config, tmp_path))
        assert status == 2
        assert not config.run.exists()
        return " ".join(err.split())

    said = refusal(0.1)
    least = float(re.search(r"give memory_gb=(\d+\.\d+) or more$", said)[1])
    assert len(re.findall(r"\d+\.\d+", said)) == 2  # what came, and what does
    assert f"give memory_gb={least:.2f} or more" in refusal(least - 0.01)
    config = config_of(store, tmp_path, memory_gb=least, **changes)
    peak = peak_gib("train", written(config, tmp_path))
    print(f"least {least:.2f} GiB, peak {peak:.2f} GiB")
    assert peak < least


def test_a_refusal_holds_for_every_assignment_and_every_trainer(store, tmp_path):
    """A limit that check_memory accepts is enough for the shards of all later assignments."""
    for trainers in (1, 2, 7):
        with pytest.raises(UserError) as error:
            check_memory(config_of(store, tmp_path, memory_gb=0.1), store, trainers)
        least = float(re.search(r"memory_gb=(\d+\.\d+)", str(error.value))[1])
        config = config_of(store, tmp_path, memory_gb=least)
        check_memory(config, store, trainers)
        for number in range(20):
            for blocks in assign_blocks(store, trainers, number=number):
                assert resident_sets(config, store, np.diff(store.block_offsets)[blocks]) >= 1


def test_global_negatives_count_the_features_of_all_nodes(store, tmp_path):
    local = config_of(store, tmp_path, memory_gb=0.1)
    wanted = parse_config(local.model_dump(mode="json") | {"task": {"negatives": "global"}})
    with pytest.raises(UserError, match="negatives=global; give memory_gb=") as error:
        check_memory(wanted, store, 2)
    features = 2 * 4 * 256 * store.num_nodes / 2**30
    least = float(re.search(r"memory_gb=(\d+\.\d+)", str(error.value))[1])
    assert least > 0.7 + features
    enough, less = (wanted.model_copy(update={"memory_gb": gb}) for gb in (least, least - 0.3))
    for blocks in assign_blocks(store, 2):
        block_nodes = np.diff(store.block_offsets)[blocks]
        assert resident_sets(enough, store, block_nodes) == 1
        assert resident_sets(less.model_copy(update={"task": local.task}), store, block_nodes) == 1
        with pytest.raises(UserError, match="negatives=global"):
            resident_sets(less, store, block_nodes)
