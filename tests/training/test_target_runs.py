"""Runs on labels of every kind: what the features say is learned, kept, resumed and reported."""

import json

import numpy as np
import pytest
import torch
from small_labels import KINDS, labelled_store

import hvdtma
from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.digests import DIGEST
from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.best_model import load_best
from hvdtma.evaluation.embed import embed
from hvdtma.graph.sizes import GraphSizes
from hvdtma.plan import PlannedGraph, memory, plan
from hvdtma.runs.folder import StartMode, read_lines
from hvdtma.runs.report import write_report
from hvdtma.runs.report.run_log import read_run
from hvdtma.runs.run_folder import RunFolder
from hvdtma.tasks import best_metric, make_task
from hvdtma.training.scores import Scores
from hvdtma.training.session import train

LEARNED = {"class": ("accuracy", 0.9), "multi": ("micro_f1", 0.8), "real": ("r2", 0.8)}


@pytest.fixture(scope="module")
def store_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: labelled_store(folder / f"{kind}.zarr", kind, nodes=800) for kind in KINDS}


def config_for(store, run, **changes):
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": 20,
        "rounds": 3,
        "threads": 1,
        "first_hop": False,
        "model": {"encoder": "mlp", "hidden": 32, "layers": 1, "norm": "none"},
        "task": {"name": "nodes", "batch_size": 64},
        "optimizer": {"lr": 0.03},
        "evaluate": {"mode": "inline"},
    }
    return parse_config(values | changes)


@pytest.mark.parametrize("kind", KINDS)
def test_what_features_determine_is_learned_by_two_trainers_and_evaluated(store_of, tmp_path, kind):
    store, (metric, least) = store_of[kind], LEARNED[kind]
    config = config_for(store, tmp_path / "run")
    summary = InProcessGroup(2).run(lambda comm: train(config, comm))[0]
    assert summary["metric"] == metric
    assert summary["test"][metric] > least
    found = hvdtma.evaluate(config.run, "test")
    assert {name: found[name] for name in summary["test"]} == pytest.approx(summary["test"])
    assert hvdtma.embed(config.run).vectors.shape == (store.num_nodes, 32)
    scores = [e["metrics"][metric] for e in read_lines(config.run / "scores.jsonl")]
    assert summary["valid"][metric] == max(scores)
    sampled = config_for(store, tmp_path / "sampled", evaluate={"mode": "final", "sample": 50})
    assert train(sampled, SingleProcess())["test"][metric] > least - 0.2


def test_predictions_are_in_the_users_units(store_of, tmp_path):
    store, config = store_of["real"], config_for(store_of["real"], tmp_path / "run")
    summary = train(config, SingleProcess())
    best = load_best(config.run)
    h = torch.from_numpy(embed(best.model, store))
    with torch.no_grad():
        predicted = best.model.head.in_units(best.model.head(h)).numpy()
    nodes = store.labelled_nodes("test")
    error = predicted[nodes] - store.read("label")[nodes]
    rmse = np.sqrt(np.nanmean(error**2, 0))
    assert summary["test"]["rmse"] == pytest.approx(rmse.mean(), rel=1e-4)
    assert rmse[0] < 25_000  # the deviation is 50,000 around a million


def test_a_model_keeps_its_units_on_another_store(store_of, tmp_path):
    config = config_for(store_of["real"], tmp_path / "run", rounds=1)
    train(config, SingleProcess())
    other = labelled_store(tmp_path / "other.zarr", "real", nodes=300, seed=5)
    here, there = load_best(config.run), load_best(config.run, other.path)
    assert there.model.head.mean.tolist() == here.model.head.mean.tolist()


@pytest.mark.parametrize("mode", ["inline", "follow"])
def test_the_round_with_the_lowest_error_is_the_best(store_of, tmp_path, mode):
    evaluate = {"mode": mode, "metric": "rmse", "keep": 9}
    config = config_for(store_of["real"], tmp_path / "run", evaluate=evaluate, interval_steps=5)
    summary = train(config, SingleProcess())
    scores = {e["round"]: e["metrics"]["rmse"] for e in read_lines(config.run / "scores.jsonl")}
    assert summary["best_round"] == min(scores, key=scores.__getitem__)
    assert len(scores) > 1 or mode == "follow"
    log = read_run(config.run)
    assert log.best["round"] == summary["best_round"]
    (config.run / "summary.json").unlink()  # as if it were unfinished
    assert read_run(config.run).best["round"] == summary["best_round"]


def test_early_stopping_waits_for_a_lower_error(store_of, tmp_path):
    store = store_of["real"]
    evaluate = {"mode": "final", "metric": "mae"}
    config = config_for(store, tmp_path / "run", evaluate=evaluate)
    run = RunFolder.create(config, store)
    scores = Scores(config, run, best_metric(config, make_task(config, store)))
    for number, (mae, since_best) in enumerate([(3, 0), (2, 0), (2.5, 1), (2, 2), (1, 0)]):
        append_json(run.scores, {"round": number, "metrics": {"mae": mae, "r2": -mae}})
        scores.new_events()
        assert scores.since_best == since_best


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_every_kind_is_resumed_to_the_same_end(store_of, tmp_path, kind):
    weights = "none" if kind == "real" else "balanced"
    task = {"name": "nodes", "batch_size": 64, "class_weights": weights}

    def run(name, rounds):
        return config_for(
            store_of[kind],
            tmp_path / name,
            task=task,
            rounds=rounds,
            checkpoint={"every": 1},
            interval_steps=5,
        )

    whole = train(run("whole", 3), SingleProcess())
    train(run("cut", 2), SingleProcess())
    resumed = train(run("cut", 3), SingleProcess(), mode=StartMode.AUTO)
    assert resumed["test"] == whole["test"]


def test_trainers_have_the_same_weights_and_units_whatever_their_shards(store_of, tmp_path):
    config = config_for(store_of["real"], tmp_path / "run", rounds=2)
    InProcessGroup(3).run(lambda comm: train(config, comm))
    head = load_best(config.run).model.head
    store = store_of["real"]
    train_label = store.read("label")[store.labelled_nodes("train")]
    assert head.mean.tolist() == np.nanmean(train_label, 0).astype(np.float32).tolist()
    assert head.deviation.numpy() == pytest.approx(np.nanstd(train_label, 0), rel=1e-6)


def test_a_report_of_targets_names_their_metrics(store_of, tmp_path):
    evaluate = {"mode": "inline", "metric": "rmse"}
    config = config_for(store_of["real"], tmp_path / "run", evaluate=evaluate, rounds=2)
    train(config, SingleProcess())
    page = write_report(config.run).read_text()
    assert "RMSE" in page
    assert "R²" in page


def test_labels_of_another_kind_are_refused_by_a_trained_run(store_of, tmp_path):
    config = config_for(store_of["class"], tmp_path / "run", rounds=1)
    train(config, SingleProcess())
    graph = RunFolder.open(config.run).graph
    facts = json.loads(graph.read_text())
    assert facts["label_kind"] == "class"
    del facts[DIGEST]  # as of an older run
    graph.write_text(json.dumps(facts | {"label_kind": "multi"}))
    with pytest.raises(UserError, match=r"labels of kind 'class'.*of kind 'multi'"):
        load_best(config.run)
    del facts["label_kind"]
    graph.write_text(json.dumps(facts))
    load_best(config.run)


def test_memory_is_planned_for_every_kind():
    planned = {
        kind: PlannedGraph(10**6, 10**7, 16, classes=100, label_kind=kind, memory_gb=64)
        for kind in KINDS
    }
    config = config_for_planned()
    sizes = {kind: graph.sizes(config) for kind, graph in planned.items()}
    row = {"class": 8, "multi": 100, "real": 800}
    for kind, graph in planned.items():
        assert graph.build_sizes.label_bytes() == row[kind] * 10**6
        assert sizes[kind].label_row_bytes == row[kind]
    trained = {kind: memory.train_bytes(config, each, 2) for kind, each in sizes.items()}
    shard = memory.largest_shard(sizes["class"], 2)
    assert trained["multi"] - trained["class"] == 92 * shard
    assert trained["real"] - trained["class"] == 792 * shard
    with pytest.raises(UserError, match=r"--label-kind is 'reel'; .*did you mean 'real'"):
        PlannedGraph(100, 200, 4, classes=1, label_kind="reel")


def config_for_planned():
    return parse_config({"store": "no.zarr", "run": "no", "rounds": 1, "task": {"name": "nodes"}})


def test_the_sizes_of_held_out_nodes_are_known_before_they_are_read(store_of):
    store = store_of["multi"]
    assert GraphSizes.of(store).held_out_nodes == {
        part: len(store.labelled_nodes(part)) for part in ("valid", "test")
    }


@pytest.mark.parametrize("kind", ["multi", "real"])
def test_a_run_on_every_kind_is_planned_with_measured_rates(store_of, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("hvdtma.plan.rates.PROBE_EDGES", 5000)
    metric = {"multi": "auc", "real": "rmse"}[kind]
    task = {"name": "nodes", "batch_size": 64}
    if kind == "multi":
        task["class_weights"] = {"b": 2}
    config = config_for(store_of[kind], tmp_path / "run", task=task, evaluate={"metric": metric})
    made = plan(config)
    assert made.rates.examples > 0
