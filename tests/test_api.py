"""The whole job from Python, and errors that name arguments."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import hvdtma
from hvdtma.api.arguments import as_arguments
from hvdtma.core.errors import Interrupted
from hvdtma.core.signals import SHUTDOWN_SIGNALS
from hvdtma.runs.run_folder import RunFolder

SMALL = {"interval_steps": 2, "rounds": 2, "model": {"hidden": 8}, "evaluate.mode": "final"}


class Rounds(hvdtma.Callback):
    """Counts rounds."""

    number = 0

    def on_round(self, outcome):
        self.number += 1
        return False


def test_the_whole_job(tmp_path):
    source = "synthetic:nodes=600,edges=4000,features=8,communities=6"
    store = hvdtma.build(tmp_path / "g.zarr", source, negatives=20, seed=3)
    grouped = hvdtma.partition(store, tmp_path / "super.zarr", "super", super_nodes=30)
    assert grouped.attrs["order"]["method"] == "super"
    rounds = Rounds()
    run = hvdtma.train(
        store=grouped.path, run=tmp_path / "run", trainers=2, callbacks=[rounds], **SMALL
    )
    assert (rounds.number, run.summary["trainers"], run.config.model.hidden) == (2, 2, 8)
    assert [event["round"] for event in run.metrics if event["kind"] == "round"] == [1, 2]
    assert run.report().is_file()

    scores = hvdtma.evaluate(run)
    assert scores["mrr"] == pytest.approx(run.summary["test"]["mrr"], rel=1e-5)
    assert hvdtma.evaluate(run.path, "valid")["part"] == "valid"

    ids, vectors = hvdtma.embed(run)
    assert sorted(ids) == list(range(600))
    assert vectors.shape == (600, 8)
    written = hvdtma.embed(run, tmp_path / "e.parquet")
    assert (written.num_nodes, written.dim) == (600, 8)
    assert written.round == run.summary["best_round"]
    assert np.isfinite(vectors).all()

    longer = hvdtma.train(resume=run, rounds=3)
    assert (longer.summary["rounds"], longer.path) == (3, run.path)


class SaveAndEnd(hvdtma.Callback):
    """Sends this process SIGTERM in the first round, as a cluster does."""

    def on_step(self, averaging):
        os.kill(os.getpid(), signal.SIGTERM)


def test_after_an_interruption_the_callers_signal_handlers_are_back(tmp_path, community_store):
    before = {number: signal.getsignal(number) for number in SHUTDOWN_SIGNALS}
    with pytest.raises(Interrupted):
        hvdtma.train(
            store=community_store.path, run=tmp_path / "run", callbacks=[SaveAndEnd()], **SMALL
        )
    assert {number: signal.getsignal(number) for number in SHUTDOWN_SIGNALS} == before


SCRIPT = """
import sys
import hvdtma

store, run = sys.argv[1:]
brief = {"interval_steps": 2, "rounds": 1, "model": {"hidden": 8}}
run = hvdtma.train(store=store, run=run, trainers=2, **brief)
print("trained:", run.config.trainers)
"""


def test_under_a_launcher_each_process_is_a_trainer(tmp_path, community_store):
    script, run = tmp_path / "script.py", tmp_path / "run"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, script, community_store.path, run], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained: 2") == 2
    assert hvdtma.Run(run).summary["trainers"] == 2


def test_a_graph_in_memory_and_files_are_sources_too(tmp_path, community_raw):
    store = hvdtma.build(tmp_path / "raw.zarr", community_raw, negatives=5)
    assert store.num_nodes == 600
    edges = tmp_path / "edges.csv"
    edges.write_text("from,to\n" + "".join(f"a{n},a{(n * 7 + 1) % 50}\n" for n in range(50)))
    of_files = hvdtma.build(
        tmp_path / "files.zarr",
        edges=edges,
        undirected=True,
        src_column="from",
        dst_column="to",
        negatives=5,
        valid=3,
        test=3,
    )
    assert of_files.undirected
    assert hvdtma.open_store(tmp_path / "files.zarr").num_nodes == 50


def test_configs_come_from_files_values_and_configs_with_overrides_on_top(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("store: g.zarr\nrun: r\nrounds: 3\nmodel: {hidden: 16, layers: 3}\n")
    config = hvdtma.load_config(path, model={"hidden": 32}, **{"task.batch_size": 7})
    assert (config.model.hidden, config.model.layers, config.task.batch_size) == (32, 3, 7)
    assert hvdtma.load_config(config, rounds=9).rounds == 9
    assert hvdtma.load_config({"store": "s", "run": "r"}, rounds=1).rounds == 1
    assert hvdtma.load_config(store="a=b.zarr", run="r", rounds=1).store.name == "a=b.zarr"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: hvdtma.build("g.zarr", negativs=3), ["'negativs'", "valid: ", "'negatives'?"]),
        (lambda: hvdtma.build("g.zarr"), ["nothing to build from", "edges=FILE"]),
        (lambda: hvdtma.build("g.zarr", "edges.csv"), ["data source 'edges.csv'", "edges=FILE"]),
        (lambda: hvdtma.build("g.zarr", 3), ["a int is no source", "from_dgl(graph)"]),
        (
            lambda: hvdtma.build("g.zarr", "synthetic:nodes=50", header="no"),
            ["'synthetic:nodes=50' comes with its own edges"],
        ),
        (lambda: hvdtma.build("g.zarr", "synthetic:nodes=50", valid=0), ["valid is 0;"]),
        (lambda: hvdtma.open_store("no.zarr"), ["no store at no.zarr"]),
        (lambda: hvdtma.load_config(rouns=3), ["unknown key 'rouns'", "mean 'rounds'?"]),
        (lambda: hvdtma.load_config(model={"hiden": 3}), ["'model.hiden'", "mean 'hidden'?"]),
        (lambda: hvdtma.load_config(rounds=object()), ["'rounds'"]),
        (lambda: hvdtma.load_config("no.yaml"), ["no config at no.yaml; examples are in"]),
        (lambda: hvdtma.train(), ["give a config, or resume=RUN"]),
        (lambda: hvdtma.train(store="s", run="r", rounds=1, trainers=0), ["'trainers' is 0"]),
        (lambda: hvdtma.train(overwite=True), ["no argument 'overwite'", "mean 'overwrite'?"]),
        (lambda: hvdtma.train(callback=[]), ["no argument 'callback'", "mean 'callbacks'?"]),
        (lambda: hvdtma.train(in_process=2), ["no argument 'in_process'", "mean 'trainers'?"]),
        (lambda: hvdtma.train(rouns=3), ["no argument 'rouns'", "mean 'rounds'?"]),
        (lambda: hvdtma.train(hidden=3), ["unknown key 'hidden'", "there is model.hidden"]),
        (lambda: hvdtma.train(**{"model.hiden": 3}), ["'model.hiden'", "mean 'hidden'?"]),
        (
            lambda: hvdtma.train(resume="no", overwrite=True),
            ["overwrite=True replaces", "resume continues"],
        ),
        (lambda: hvdtma.evaluate("no"), ["no run at no"]),
        (lambda: hvdtma.embed("no"), ["no run at no"]),
        (lambda: hvdtma.Run("no"), ["no run at no"]),
        (lambda: hvdtma.register("encodr", "x", dict), ["'encodr'", "'encoder'?"]),
    ],
)
def test_errors_name_arguments_and_what_is_valid(tmp_path, monkeypatch, call, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hvdtma.UserError) as raised:
        call()
    said = str(raised.value)
    assert "--" not in said
    for word in words:
        assert word in said, said
    assert not list(tmp_path.iterdir())


def test_an_output_that_exists_is_kept_unless_overwritten(community_store, tmp_path):
    for call in (
        lambda: hvdtma.build(community_store.path, "synthetic:nodes=50"),
        lambda: hvdtma.partition(community_store, community_store.path),
    ):
        with pytest.raises(hvdtma.UserError, match="exists; give overwrite=True to replace it"):
            call()


def test_a_partition_method_or_an_option_that_is_unknown_lists_the_valid_ones(
    community_store, tmp_path
):
    out = tmp_path / "p.zarr"
    with pytest.raises(hvdtma.UserError, match=r"'supper'; valid: .* did you mean 'super'"):
        hvdtma.partition(community_store, out, "supper")
    with pytest.raises(hvdtma.UserError, match=r"no option 'super_node'; .*'super_nodes'"):
        hvdtma.partition(community_store, out, "super", super_node=3)
    assert not out.exists()


def test_a_run_that_is_not_over_has_no_summary(tmp_path, community_store):
    run = tmp_path / "run"
    config = hvdtma.load_config(store=community_store.path, run=run, rounds=1)
    RunFolder.create(config, community_store)
    with pytest.raises(hvdtma.UserError, match=r"is not over: it has no summary\.json yet"):
        hvdtma.Run(run).summary  # noqa: B018


def test_the_command_line_calls_the_same_functions_and_names_flags(hvdtma, community_store):
    status, _, err = hvdtma("build", community_store.path, "synthetic:nodes=50")
    assert status == 2
    assert "give --overwrite to replace it" in " ".join(err.split())


def test_flags_become_arguments_but_commands_stay():
    assert as_arguments("say --edges FILE, or --header yes") == "say edges=FILE, or header yes"
    assert as_arguments("use --in-process 3") == "use trainers 3"
    left = "resume with: hvdtma train --resume runs/mine"
    assert as_arguments(left) == left


def test_the_defaults_need_no_config_file(hvdtma, community_store, tmp_path):
    words = [f"store={community_store.path}", f"run={tmp_path / 'run'}", "model.hidden=8"]
    assert hvdtma("train", *words, "interval_steps=2", "rounds=1")[0] == 0
    status, _, err = hvdtma("train", *words)
    assert status == 2
    assert "give rounds, time_limit_s or evaluate.patience" in " ".join(err.split())


def test_a_model_is_used_on_stores_of_the_same_features_only(tmp_path):
    """Features that are made from the graph lie on axes of each store's own."""
    edges = np.random.default_rng(0).integers(0, 200, (1500, 2))
    common = {"feature_dim": 8, "negatives": 5}
    old = hvdtma.build(tmp_path / "old.zarr", edges, **common)
    run = hvdtma.train(store=old.path, run=tmp_path / "run", trainers=1, **SMALL)
    later = np.r_[edges, [[200, 3], [4, 200]]]
    other = hvdtma.build(tmp_path / "other.zarr", later, seed=5, **common)
    for use in (hvdtma.embed, hvdtma.evaluate):
        with pytest.raises(hvdtma.UserError, match="other features than") as refused:
            use(run, store=other.path)
        assert f"features_like=STORE, the store of the run: {old.path}" in str(refused.value)
        assert "build it with --features-like STORE" in refused.value.in_flags
    like = hvdtma.build(tmp_path / "like.zarr", later, seed=5, features_like=old.path, negatives=5)
    ids, vectors = hvdtma.embed(run, store=like.path)
    assert sorted(ids) == list(range(201))
    assert np.isfinite(vectors).all()
    assert hvdtma.evaluate(run, store=like.path)["mrr"] > 0
    wider = hvdtma.from_edges(edges)
    wider.feat = np.ones((wider.num_nodes, 9), np.float32)
    wider = hvdtma.build(tmp_path / "wider.zarr", wider, negatives=5)
    with pytest.raises(hvdtma.UserError, match=r"9 features \(given\) instead of 8 features"):
        hvdtma.embed(run, store=wider.path)


def test_the_home_folder_is_expanded_everywhere(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    np.save(home / "edges.npy", np.random.default_rng(0).integers(0, 100, (600, 2)))
    made = hvdtma.build("~/g.zarr", hvdtma.from_edges(np.load(home / "edges.npy")), negatives=5)
    assert made.path == home / "g.zarr"
    hvdtma.partition("~/g.zarr", "~/p.zarr")
    run = hvdtma.train(store="~/p.zarr", run="~/runs/a", trainers=1, **SMALL)
    assert run.path == home / "runs/a"
    hvdtma.embed("~/runs/a", "~/e.parquet", store="~/g.zarr")
    hvdtma.train(resume="~/runs/a", rounds=3)
    assert hvdtma.Run("~/runs/a").summary["rounds"] == 3
    assert {"e.parquet", "g.zarr", "p.zarr"} <= {path.name for path in home.iterdir()}
    assert list(here.iterdir()) == []
    with pytest.raises(hvdtma.UserError, match="a user without a home folder"):
        hvdtma.open_store("~nobody-of-this-name/g.zarr")
