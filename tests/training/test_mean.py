"""The exponential mean of aggregated parameters: its values, its scores, and after a resume."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hvdtma.comm import InProcessGroup
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.score import Scorer
from hvdtma.graph.store import open_store
from hvdtma.runs.event_text import score as score_text
from hvdtma.runs.folder import StartMode, read_lines
from hvdtma.runs.run_folder import RunFolder, read_model, round_of
from hvdtma.tasks import make_model
from hvdtma.training.session import train

DECAY = 0.6


def config_of(store, run, **changes):
    evaluate = {"mode": "inline", "mean_decay": DECAY, "keep": 9} | changes.pop("evaluate", {})
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": 4,
        "rounds": 5,
        "model": {"hidden": 8},
        "task": {"batch_size": 32},
        "evaluate": evaluate,
        "checkpoint": {"every": 3},
    }
    return parse_config(values | changes)


def run_of(config, mode=StartMode.NEW):
    InProcessGroup(2).run(lambda comm: train(config, comm, mode=mode))
    return RunFolder(config.run)


def means_of(run):
    return {int(path.stem): load_file(run.mean_of(path)) for path in run.round_files()}


def test_the_mean_is_the_one_that_is_written_down(community_store, tmp_path):
    run = run_of(config_of(community_store, tmp_path / "run"))
    expected = None
    for path in run.round_files():
        theta = load_file(path)
        expected = (
            theta
            if expected is None
            else {name: DECAY * expected[name] + (1 - DECAY) * theta[name] for name in theta}
        )
        found = load_file(run.mean_of(path))
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name])


def test_each_round_has_the_better_score_of_both_and_the_best_has_those_parameters(
    community_store, tmp_path
):
    config = config_of(community_store, tmp_path / "run")
    run, store = run_of(config), open_store(config.store)
    scorer = Scorer(config, store)
    model = make_model(config, store, scorer.task)

    def mrr(path):
        read_model(path, model)
        return scorer(model, "valid")["mrr"]

    events = [event for event in read_lines(run.scores) if event["part"] == "valid"]
    assert len(events) == 5
    for event, path in zip(events, run.round_files(), strict=True):
        both = {False: mrr(path), True: mrr(run.mean_of(path))}
        assert event["metrics"]["mrr"] == pytest.approx(max(both.values()))
        assert event["beside"]["mrr"] == pytest.approx(min(both.values()))
        assert event["is_mean"] == (both[True] > both[False])
        words = "of the mean over rounds"
        assert words in score_text(event)
    best = max(events, key=lambda event: event["metrics"]["mrr"])
    assert mrr(run.best) == pytest.approx(best["metrics"]["mrr"])
    assert round_of(run.best) == best["round"]


def test_a_resumed_run_goes_on_with_its_mean(community_store, tmp_path):
    whole = run_of(config_of(community_store, tmp_path / "whole"))
    config = config_of(community_store, tmp_path / "parts", rounds=3)
    run_of(config)
    parts = run_of(config.model_copy(update={"rounds": 5}), StartMode.RESUME)
    expected, found = means_of(whole), means_of(parts)
    assert expected.keys() == found.keys() == {1, 2, 3, 4, 5}
    for number, tensors in expected.items():
        for name, value in tensors.items():
            assert value.equal(found[number][name]), (number, name)


def test_old_means_go_with_their_rounds_and_without_a_decay_there_are_none(
    community_store, tmp_path
):
    run = run_of(config_of(community_store, tmp_path / "two", evaluate={"keep": 2}))
    names = sorted(path.name for path in run.rounds.glob("*.safetensors"))
    kept = [f"{number:06d}.safetensors" for number in (4, 5)]
    assert names == sorted(kept + [f"mean-{name}" for name in kept])
    run = run_of(config_of(community_store, tmp_path / "none", evaluate={"mean_decay": 0.0}))
    assert not list(run.rounds.glob("mean-*"))
    assert all("is_mean" not in event for event in read_lines(run.scores))
    assert np.isfinite([event["metrics"]["mrr"] for event in read_lines(run.scores)]).all()


def test_a_decay_of_one_is_refused(community_store, tmp_path):
    with pytest.raises(UserError, match="mean_decay"):
        config_of(community_store, tmp_path, evaluate={"mean_decay": 1.0})
