"""`python -m hypergraph`, as it is typed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_learning import small_graph
from typer.testing import CliRunner
from yaml import safe_dump

from hvdtma.comm import SingleProcess
from hvdtma.core.config import parse_as
from hvdtma.core.errors import UserError
from hypergraph import HyperLearn, Modality, MultimodalHypergraph, Relation, split_relation
from hypergraph.cli import app
from hypergraph.config import DataConfig, DebianConfig, RunConfig
from hypergraph.load import load_split
from hypergraph.run import open_run, train_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hypergraph():
    """A function that runs it: status, output, errors."""

    def run(*words):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [sys.executable, "-m", "hypergraph", *map(str, words)],
            env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def written(folder, values):
    path = folder / "c.yaml"
    path.write_text(safe_dump(values))
    return path


def test_ratings_with_graphs_on_both_sides_and_a_given_split(hypergraph, tmp_path):
    """From three tables by one command; stops at the best validation RMSE."""
    graph = small_graph(2, num_ratings=1200)
    for name, modality in (("users", "m0"), ("items", "m1")):
        edges = graph.modality(modality).intra.edges
        np.savetxt(tmp_path / f"{name}.csv", edges, "%d", ",", header="src,dst", comments="")
    rating = graph.relation("rating")
    part = np.random.default_rng(0).choice(["train", "valid", "test"], 1200, p=[0.7, 0.15, 0.15])
    rows = zip(*rating.indices.T, rating.values, part, strict=True)
    lines = [f"{user},{item},{value},{of}" for user, item, value, of in rows]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating,part", *lines]) + "\n")
    tables = {
        "modalities": {
            "user": {"edges": str(tmp_path / "users.csv")},
            "item": {"edges": str(tmp_path / "items.csv")},
        },
        "relations": {
            "rating": {
                "table": str(tmp_path / "ratings.csv"),
                "columns": ["user", "item"],
                "value": "rating",
                "split": "part",
            }
        },
    }
    config = {
        "data": {"tables": tables},
        "run": str(tmp_path / "run"),
        "model": {"dim": 8},
        "evaluate": {"every": 20, "patience": 4},
    }
    status, said, seen = hypergraph("train", written(tmp_path, config))
    assert status == 0, seen
    summary = json.loads(said)
    assert summary["stopped"] == "early stopping"
    assert summary["test"]["rmse"] < 0.9 * rating.values[part == "test"].std()
    assert "user   rank 0, cpu" in seen
    status, said, _ = hypergraph("evaluate", tmp_path / "run")
    assert json.loads(said) == pytest.approx(summary["test"])
    status, said, _ = hypergraph(
        "complete", tmp_path / "run", "user=3", "--missing", "item", "--top", 4
    )
    assert status == 0
    assert len(said.splitlines()) == 4
    for odd in ("²", "--7", "9" * 5000):  # digits, or nearly so, that make no number
        odd_one = ["complete", str(tmp_path / "run"), "--missing", "item", "--", f"user={odd}"]
        done = CliRunner().invoke(app, odd_one)
        assert isinstance(done.exception, UserError), odd
        assert "modality 'user' has no item" in str(done.exception)
    status, _, seen = hypergraph("train", tmp_path / "c.yaml")
    assert status == 2
    assert "give --overwrite to replace it" in seen


def test_an_item_may_be_called_by_any_int64(monkeypatch):
    """A number that is none is an item that is not there, however large."""
    largest = np.iinfo(np.int64).max
    ids = np.array([largest - 1, largest, -largest - 1])
    its = Relation("r", ("a", "b"), [[0, 0], [1, 1], [2, 0]])
    graph = MultimodalHypergraph.of([Modality("a", 3, ids), Modality("b", 2)], [its])
    split = split_relation(graph, "r", valid=0)
    monkeypatch.setattr("hypergraph.run.open_run", lambda _: HyperLearn(split))

    def completed(item):
        asked = ["complete", "RUN", "--missing", "b", "--", f"a={item}"]
        return CliRunner().invoke(app, asked)

    for item in ids.tolist():
        assert completed(item).exit_code == 0
    nothing_known = CliRunner().invoke(app, ["complete", "RUN", "--missing", "a"])
    assert len(nothing_known.stdout.splitlines()) == 3
    for item in (largest + 1, 10**19 - 1, -largest - 2):
        error = completed(item).exception
        assert isinstance(error, UserError)
        assert f"modality 'a' has no item {item}; its ids are 3 integers" in str(error)


def test_a_larger_run_begins_with_what_a_smaller_one_learned(hypergraph, tmp_path):
    graph = small_graph(3)
    graph.save(tmp_path / "all.zarr")
    config = {
        "data": {"hypergraph": str(tmp_path / "all.zarr"), "relation": "all"},
        "run": str(tmp_path / "one"),
        "iterations": 20,
        "model": {"dim": 8},
    }
    status, _, seen = hypergraph("train", written(tmp_path, config))
    assert status == 0, seen
    reset = "reset_rows=[m0]"
    status, _, seen = hypergraph("train", tmp_path / "c.yaml", f"run={tmp_path}/two", reset)
    assert status == 2
    assert "reset_rows needs a warm start" in seen
    again = [f"run={tmp_path}/two", f"warm_start={tmp_path}/one", "iterations=10", reset]
    status, said, seen = hypergraph("train", tmp_path / "c.yaml", *again)
    assert status == 0, seen
    summary = json.loads(said)
    assert summary["iterations"] == 10
    assert "num_left_out" not in summary


def test_what_a_given_split_leaves_out_is_said(hypergraph, tmp_path):
    """A rating that is in training and test is tested on only."""
    rows = "user,item,rating,part\n1,1,5,train\n1,2,3,train\n2,1,4,train\n1,1,5,test\n"
    (tmp_path / "r.csv").write_text(rows)
    relation = {"table": str(tmp_path / "r.csv"), "columns": ["user", "item"], "value": "rating"}
    tables = {
        "modalities": {"user": None, "item": None},
        "relations": {"rating": relation | {"split": "part"}},
    }
    config = {"data": {"tables": tables}, "run": str(tmp_path / "run"), "iterations": 2}
    status, said, seen = hypergraph("train", written(tmp_path, config))
    assert status == 0, seen
    assert "left out of training or validation: 1 hyperedges of 'rating'" in seen
    assert json.loads(said)["num_left_out"] == 1
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["num_left_out"] == 1


def test_ratings_split_for_training_and_test_only_stop_early_too(tmp_path):
    """`data.valid` of the training part is held out; without it the run is refused unmade."""
    random = np.random.default_rng(0)
    for part, count in (("train", 80), ("test", 20)):
        pairs = zip(*random.integers(0, 9, (2, count)), random.integers(1, 6, count), strict=True)
        lines = [",".join(map(str, pair)) for pair in pairs]
        (tmp_path / f"{part}.csv").write_text("\n".join(["user,item,rating", *lines]) + "\n")
    tables = {
        "modalities": {"user": None, "item": None},
        "relations": {
            "rating": {
                "table": {part: str(tmp_path / f"{part}.csv") for part in ("train", "test")},
                "columns": ["user", "item"],
                "value": "rating",
            }
        },
    }
    values = {
        "data": {"tables": tables, "valid": 0},
        "run": str(tmp_path / "run"),
        "iterations": 5000,
        "model": {"dim": 4},
        "evaluate": {"every": 1, "patience": 2},
    }
    with pytest.raises(UserError, match=r"patience needs validation .*\(data\.valid\)"):
        train_run(parse_as(RunConfig, values), SingleProcess())
    astray = values | {"data": {"tables": tables}, "evaluate": {"metric": "rsme"}}
    with pytest.raises(UserError, match=r"evaluate\.metric is 'rsme'; .*did you mean 'rmse'"):
        train_run(parse_as(RunConfig, astray), SingleProcess())
    assert not (tmp_path / "run").exists()
    config = parse_as(RunConfig, values | {"data": {"tables": tables}})
    summary = train_run(config, SingleProcess())
    assert summary["stopped"] == "early stopping"
    assert summary["valid"]["rmse"] > 0
    assert open_run(config.run).evaluate() == pytest.approx(summary["test"])


def test_a_source_with_nothing_after_it_is_as_its_defaults_say():
    assert parse_as(DataConfig, {"debian": None}).debian == DebianConfig()
    assert parse_as(DataConfig, {"hypergraph": "g.zarr", "debian": None}).debian is None
    with pytest.raises(UserError, match="give one of hypergraph, tate, debian and tables, not 0"):
        parse_as(DataConfig, {"relation": "r"})


def test_a_config_can_hold_out_all_hyperedges_of_an_item(tmp_path):
    graph = small_graph(2)
    graph.save(tmp_path / "g.zarr")
    data = {"hypergraph": str(tmp_path / "g.zarr"), "together": "m0"}
    split = load_split(parse_as(DataConfig, data | {"relation": "all"}))
    parts = [split.train.relation("all"), split.valid, split.test]
    items = [set(part.column("m0").tolist()) for part in parts]
    assert all(items)
    assert sum(map(len, items)) == len(set.union(*items))
    its = graph.relation("all")
    given = Relation("all", its.modalities, its.indices, part=np.arange(len(its.indices)) % 3)
    graph.with_relation(given).save(tmp_path / "g.zarr", overwrite=True)
    with pytest.raises(UserError, match="'all' comes with a split, which is kept"):
        load_split(parse_as(DataConfig, data | {"relation": "all"}))


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("model.dims=3", "unknown key 'model.dims'; .*did you mean 'dim'"),
        ("data.relation=al", "there is no relation 'al'"),
        ("data.relation=null", "of which relation are hyperedges held out"),
        ("placement.m9=0", "placement names the modality 'm9'"),
        ("model.row_dropout.m9=0.5", "row_dropout names the modality 'm9'; valid: m0, m1"),
        ("model.row_dropout.m0=1", "model.row_dropout.m0"),
        ("data.hypergraph=nowhere.zarr", "nowhere.zarr"),
    ],
)
def test_a_mistake_is_one_message(hypergraph, tmp_path, override, why):
    graph = small_graph(2)
    graph.save(tmp_path / "g.zarr")
    data = {"hypergraph": str(tmp_path / "g.zarr"), "relation": "all"}
    config = written(tmp_path, {"data": data, "run": str(tmp_path / "run"), "iterations": 1})
    status, said, seen = hypergraph("train", config, override)
    assert status == 2
    assert "Traceback" not in seen
    assert not said
    assert re.search(why, seen.replace("\n", " "))
