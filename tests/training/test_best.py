"""A run's model found again: on the graph it was trained on, or with a word about another."""

import json

import pytest

from hvdtma.comm import SingleProcess
from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.best_model import load_best
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.runs.folder import read_lines
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.recorder import Recorder
from hvdtma.training.session import train

OPTIONS = BuildOptions(negatives=20, block_nodes=10)


@pytest.fixture
def store(community_raw, tmp_path):
    """A store for this test alone, which it builds anew."""
    return build(tmp_path / "graph.zarr", community_raw, OPTIONS)


def config_of(store, folder, **changes):
    values = {
        "store": str(store.path),
        "run": str(folder / "run"),
        "interval_steps": 3,
        "rounds": 2,
        "model": {"hidden": 8},
        "evaluate": {"mode": "final"},
    }
    return parse_config(values | changes)


def test_a_store_that_was_built_anew_is_not_scored_on_silently(
    store, community_raw, tmp_path, capsys
):
    config = config_of(store, tmp_path)
    train(config, SingleProcess())
    again = build(store.path, community_raw, OPTIONS, overwrite=True)
    assert again.graph == store.graph  # the same to the bit
    load_best(config.run)
    other = BuildOptions(negatives=20, block_nodes=10, seed=1)
    build(store.path, community_raw, other, overwrite=True)
    with pytest.raises(UserError, match="may have been trained on"):
        load_best(config.run)
    load_best(config.run, store.path)
    assert "may have been trained on" in " ".join(capsys.readouterr().err.split())


def test_a_partition_is_the_same_graph(store, tmp_path, capsys):
    config = config_of(store, tmp_path)
    train(config, SingleProcess())
    made = partition(store, tmp_path / "super.zarr", PartitionOptions("super", {"super_nodes": 30}))
    capsys.readouterr()
    load_best(config.run, made.path)
    assert "another" not in capsys.readouterr().err


def test_other_classes_are_refused(store, community_raw, tmp_path):
    config = config_of(store, tmp_path, task={"name": "nodes"})
    train(config, SingleProcess())
    community_raw.label_names[0], before = "unheard of", community_raw.label_names[0]
    try:
        other = build(tmp_path / "other.zarr", community_raw, OPTIONS)
    finally:
        community_raw.label_names[0] = before
    with pytest.raises(UserError, match=r"other label_names .*unheard of"):
        load_best(config.run, other.path)


def test_without_a_scored_round_the_newest_is_taken_and_said(store, tmp_path, capsys):
    config = config_of(store, tmp_path)
    train(config, SingleProcess())
    run = RunFolder.open(config.run)
    run.best.unlink()
    assert load_best(config.run).round == 2
    assert "the newest, 000002" in capsys.readouterr().err
    for path in run.round_files():
        path.unlink()
    with pytest.raises(UserError, match="no round yet"):
        load_best(config.run)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (KeyboardInterrupt(), "interrupted after round 1"),
        (OSError(28, "No space left on device"), "No space left on device; the last good round"),
    ],
)
def test_a_run_that_ends_early_says_why_in_its_report(store, tmp_path, monkeypatch, failure, words):
    def fails(*_, **__):
        raise failure

    if isinstance(failure, OSError):
        monkeypatch.setattr("hvdtma.runs.run_folder.write_model", fails)
    else:
        monkeypatch.setattr(Recorder, "on_round", fails)
    config, reported = config_of(store, tmp_path), []
    with pytest.raises((KeyboardInterrupt, UserError)):
        train(config, SingleProcess(), report=reported.append)
    assert reported == [config.run]
    last = read_lines(RunFolder.open(config.run).metrics)[-1]
    assert last["kind"] == "failed"
    assert words in last["why"]


def test_an_event_that_is_half_written_on_a_full_disk_ends_the_run_with_one_message(
    store, tmp_path, monkeypatch
):
    def half(path, value):
        if value["kind"] in ("round", "failed"):
            with path.open("a") as file:
                file.write(json.dumps(value)[:20])
            raise OSError(28, "No space left on device")
        append_json(path, value)

    monkeypatch.setattr("hvdtma.runs.event_log.append_json", half)
    config, reported = config_of(store, tmp_path), []
    with pytest.raises(UserError, match=r"metrics\.jsonl: No space left on device"):
        train(config, SingleProcess(), report=reported.append)
    assert reported == [config.run]
    monkeypatch.undo()
    run = RunFolder.open(config.run)
    before = run.events()
    append_json(run.metrics, {"kind": "members"})  # of the next one who keeps the record
    assert run.events() == [*before, {"kind": "members"}]


def full(*_, **__):
    raise OSError(28, "No space left on device", "some file")


@pytest.mark.parametrize(
    "name", ["runs.loggers.tensorboard.TensorBoard.log", "runs.run_folder.append_json"]
)
def test_a_full_disk_met_where_curves_are_drawn_or_rounds_scored_is_said_in_the_report(
    store, tmp_path, monkeypatch, name
):
    config, reported = config_of(store, tmp_path, evaluate={"mode": "inline"}), []
    monkeypatch.setattr(f"hvdtma.{name}", full)
    with pytest.raises(OSError, match="No space left"):
        train(config, SingleProcess(), report=reported.append)
    assert reported == [config.run]
    last = read_lines(RunFolder.open(config.run).metrics)[-1]
    assert last["kind"] == "failed"
    assert "some file: No space left on device" in last["why"]


def test_curves_that_cannot_be_closed_hide_no_error_and_leave_no_lock(store, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise UserError("the loss was not finite")

    config = config_of(store, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(UserError, match="not finite"):
        patch.setattr(Recorder, "on_round", fails)
        patch.setattr("torch.utils.tensorboard.SummaryWriter.close", full)
        train(config, SingleProcess())
    run = RunFolder.open(config.run)
    run.lock()  # nobody else does
    run.unlock()


def test_a_score_of_a_sample_says_so(store, tmp_path, hvdtma):
    config = config_of(store, tmp_path, evaluate={"mode": "final", "sample": 5})
    summary = train(config, SingleProcess())
    status, out, err = hvdtma("evaluate", config.run)
    assert status == 0, err
    assert json.loads(out)["scored_sample"] == summary["scored_sample"] == 5


def test_one_node_left_over_does_not_stop_batch_norm(store, tmp_path):
    config = config_of(store, tmp_path, task={"name": "nodes"})
    nodes = len(store.labelled_nodes("train"))
    model = {"encoder": "mlp", "norm": "batch", "hidden": 8}
    task = {"name": "nodes", "batch_size": nodes - 1}
    config = config_of(store, tmp_path, first_hop=False, model=model, task=task)
    assert train(config, SingleProcess())["rounds"] == 2
