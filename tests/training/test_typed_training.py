"""Typed graphs are trained, scored, resumed and embedded like others.

Legend: T node types.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typed_graphs import BUYS, LIKES, shop_graph, shop_store

import hvdtma
import hvdtma.training.trainer as trainer_module
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.plan import plan
from hvdtma.sampling.typed_shard import load_any_shard
from hvdtma.tasks import make_task
from hvdtma.training.budget import resident_sets, run_requirement, shard_footprint


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop_store(tmp_path_factory.mktemp("typed") / "g.zarr", valid=0.1, test=0.1)


def settings(store, path, **more):
    model = {"hidden": 16, "fanouts": [4, 4]} | more.pop("model", {})
    task = {"batch_size": 64, "num_negatives": 16} | more.pop("task", {})
    return {
        "store": str(store.path),
        "run": str(path),
        "interval_steps": 10,
        "rounds": 3,
        "evaluate": {"mode": "inline"},
        "optimizer": {"lr": 0.01},
        "model": model,
        "task": task,
        "device": "cpu",
        "threads": 1,
        **more,
    }


def test_links_are_learned_by_three_trainers_and_scored_by_edge_type(store, tmp_path):
    run = hvdtma.train(settings(store, tmp_path / "run", rounds=8), trainers=3)
    assert run.config.model.encoder == "rgcn"
    assert run.config.sampler.name == "cluster"
    test = run.summary["test"]
    names = [f"mrr {name}" for name in store.edge_type_names if "rev_" not in name]
    assert set(names) <= set(test)
    chance = np.mean(1 / np.arange(1, 22))
    assert test["mrr"] > 1.3 * chance
    scores = hvdtma.evaluate(run, "test")
    for name in ("mrr", *names):
        assert scores[name] == pytest.approx(test[name], abs=1e-6)
    embedded = hvdtma.embed(run)
    assert {name: len(ids) for name, (ids, _) in embedded.items()} == dict(
        zip(store.schema.node_types, store.schema.sizes, strict=True)
    )
    assert run.report().is_file()
    (group,) = hvdtma.compare([run]).groups
    assert group.valid.mean == pytest.approx(run.summary["valid"]["mrr"])


def test_the_total_is_the_mean_of_the_edge_types_by_their_links(store, tmp_path):
    run = hvdtma.train(settings(store, tmp_path / "run", rounds=1), trainers=1)
    test, counts = run.summary["test"], store.schema.held_out["test"]
    by_type = [
        test[f"mrr {name}"] * count
        for name, count in zip(store.edge_type_names, counts, strict=True)
        if count
    ]
    assert test["mrr"] == pytest.approx(sum(by_type) / sum(counts))


def test_one_edge_type_is_learned_and_scored_alone(store, tmp_path):
    task = {"target": "buys"}
    run = hvdtma.train(settings(store, tmp_path / "run", task=task), trainers=2)
    assert not [name for name in run.summary["test"] if name.startswith("mrr ")]
    config = run.config
    task = make_task(config, store)
    number = store.edge_type_names.index(str(BUYS))
    assert task.num_held_out("test") == store.schema.held_out["test"][number]
    pairs = task.read_held_out("test", None)
    assert set(pairs.edge_type.tolist()) == {number}
    np.testing.assert_array_equal(
        task.read_held_out("test", np.array([1, 4])).src, pairs.src[[1, 4]]
    )
    shard = load_any_shard(store, np.arange(store.num_blocks), first_hop=True)
    assert task.num_examples(shard) == shard.edges[number].num_edges
    batch = next(task.batches(shard, stream=[0]))
    assert set(batch.edge_type.tolist()) == {number}


@pytest.mark.parametrize("sampler", ["neighbour", "labor", "cluster"])
@pytest.mark.parametrize("negatives", ["local", "in-batch", "global"])
def test_negatives_are_of_the_type_that_they_replace(store, tmp_path, sampler, negatives):
    config = parse_config(
        settings(store, tmp_path, sampler={"name": sampler}, task={"negatives": negatives})
    )
    task = make_task(config, store)
    remote = task.needs_remote
    shard = load_any_shard(store, np.arange(0, store.num_blocks, 2), first_hop=True, remote=remote)
    batch = next(task.batches(shard, stream=[0]))
    hood, schema = batch.neighbourhood, store.schema
    rows = torch.cat(
        [torch.full((hood.blocks[-1].num_dst[name],), kind) for kind, name in enumerate(hood.x)]
    )
    kinds = rows[hood.seed_row].numpy()
    ends = schema.ends[batch.edge_type.numpy()]
    np.testing.assert_array_equal(kinds[batch.src], ends[:, 0])
    np.testing.assert_array_equal(kinds[batch.dst], ends[:, 1])
    assert batch.shared
    for shared in batch.shared:
        of_row = ends[shared.row.numpy()][:, 0 if shared.of_sources else 1]
        assert len(set(of_row)) == 1
        assert set(kinds[shared.node.numpy()]) <= set(of_row)


def test_the_same_seed_gives_the_same_losses_and_a_resumed_run_goes_on(store, tmp_path):
    sampler = {"name": "neighbour"}
    runs = [
        hvdtma.train(settings(store, tmp_path / name, sampler=sampler), trainers=2)
        for name in ("one", "two")
    ]
    losses = [[e["trainers"] for e in run.metrics if e["kind"] == "round"] for run in runs]
    assert [[t["loss"] for t in r] for r in losses[0]] == [
        [t["loss"] for t in r] for r in losses[1]
    ]
    more = hvdtma.train(resume=runs[0], rounds=5, trainers=3)
    assert more.summary["rounds"] == 5


def test_resident_sets_and_reassignment_work_with_types(store, tmp_path):
    config = parse_config(settings(store, tmp_path / "x", evaluate={"mode": "final"}))
    least = run_requirement(config, store, store.num_nodes, 16)
    limited = settings(
        store,
        tmp_path / "run",
        evaluate={"mode": "final"},
        memory_gb=least.total_bytes / 2**30 + 0.001,
        reassign_rounds=1,
    )
    run = hvdtma.train(limited, trainers=2)
    assert np.isfinite(run.summary["test"]["mrr"])
    config = run.config
    sizes = np.diff(store.block_offsets)
    assert resident_sets(config, store, sizes) >= 1


def test_a_shard_is_trained_on_set_by_set(store, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "resident_sets", lambda *_: 3)
    loaded = []

    def load(*arguments, **options):
        loaded.append(load_any_shard(*arguments, **options))
        return loaded[-1]

    monkeypatch.setattr(trainer_module, "load_any_shard", load)
    run = hvdtma.train(settings(store, tmp_path / "run", interval_steps=4), trainers=2)
    assert np.isfinite(run.summary["test"]["mrr"])
    assert len(loaded) > 6
    assert max(shard.num_nodes for shard in loaded) < store.num_nodes / 4


def test_the_footprint_covers_the_arrays_of_every_shard(store, tmp_path):
    config = parse_config(settings(store, tmp_path / "x"))
    footprint = shard_footprint(config, store)
    for blocks in (np.arange(store.num_blocks), np.arange(0, store.num_blocks, 3), np.array([2])):
        shard = load_any_shard(store, blocks, first_hop=True)
        arrays = [shard.csc.indptr, shard.csc.indices, shard.csc.edge_type, shard.nodes]
        arrays += [a for csc in shard.edges for a in (csc.indptr, csc.indices)]
        arrays += [t.numpy() for t in (*shard.feats, *shard.hops, *shard.degrees)]
        held = sum(array.nbytes for array in arrays)
        ends_of_rows = 8 * (len(shard.edges) + 1)
        assert held - ends_of_rows <= footprint.num_bytes(shard.num_nodes, shard.num_edges)


def test_a_plan_counts_every_type_and_predicts_no_times(store, tmp_path):
    config = parse_config(settings(store, tmp_path / "x"))
    wide = parse_config(settings(store, tmp_path / "x", model={"hidden": 512}))
    stages = {stage.name: stage for stage in plan(config, trainers=2).stages}
    wider = {stage.name: stage for stage in plan(wide, trainers=2).stages}
    for name in ("train", "evaluate"):
        assert stages[name].time_s is None
        assert 0 < stages[name].peak_bytes < wider[name].peak_bytes


def test_labels_of_one_type_are_learned(tmp_path):
    store = shop_store(tmp_path / "g.zarr", hold_out="nodes", valid=0.2, test=0.2)
    config = settings(
        store,
        tmp_path / "run",
        rounds=8,
        task={"name": "nodes", "target": "item", "batch_size": 16},
    )
    run = hvdtma.train(config, trainers=2)
    assert run.summary["test"]["accuracy"] > 0.5
    with pytest.raises(UserError, match="has labels of 'item'"):
        hvdtma.train(settings(store, tmp_path / "b", task={"name": "nodes", "target": "üser"}))


def test_a_partition_by_super_nodes_is_trained(store, tmp_path):
    options = PartitionOptions("super", {"super_nodes": 12}, block_nodes=16)
    other = partition(store, tmp_path / "super.zarr", options)
    run = hvdtma.train(settings(other, tmp_path / "run"), trainers=2)
    assert np.isfinite(run.summary["test"]["mrr"])


def test_attention_and_samples_of_links_are_scored(store, tmp_path):
    config = settings(
        store,
        tmp_path / "run",
        first_hop=False,
        model={"encoder": "rgat", "heads": 2},
        evaluate={"mode": "inline", "sample": 50},
        sampler={"name": "neighbour"},
    )
    run = hvdtma.train(config, trainers=1)
    assert np.isfinite(run.summary["test"]["mrr"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"encoder": "sage"}}, "has node types, but the encoder 'sage'"),
        ({"task": {"target": "user:buys:item"}}, "did you mean 'üser:buys:item'"),
        ({"model": {"norm": "batch"}}, "single node of a type"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(store, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        hvdtma.train(settings(store, tmp_path / "run", **changes))


def test_several_targets_and_their_names_in_the_log(tmp_path):
    store = shop_store(tmp_path / "g.zarr", shop_graph(reverse=False), valid=0.1, test=0.1)
    task = {"target": [str(BUYS), "likes"]}
    run = hvdtma.train(settings(store, tmp_path / "run", task=task), trainers=1)
    names = {name for name in run.summary["test"] if name.startswith("mrr ")}
    assert names == {f"mrr {BUYS}", f"mrr {LIKES}"}
    assert json.loads((run.path / "summary.json").read_text())["test"]["mrr"] > 0


def test_the_encoder_of_the_docs_is_trained_scored_and_embedded(store, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    (code,) = re.findall(r"```python\n(# my_typed_encoder\.py\n.*?)```", text, re.DOTALL)
    (tmp_path / "my_typed_encoder.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = settings(
        store,
        tmp_path / "run",
        first_hop=False,
        model={"encoder": "my_typed_encoder:MyTypedEncoder", "hidden": 8, "fanouts": [3, 3]},
        sampler={"name": "neighbour"},
    )
    run = hvdtma.train(config, trainers=2)
    scores = hvdtma.evaluate(run, "test")
    assert scores["mrr"] == pytest.approx(run.summary["test"]["mrr"], abs=1e-5)
    assert set(hvdtma.embed(run)) == set(store.schema.node_types)
