"""Scoring a run: in a process of its own, between rounds, or at the end."""

import json
import shutil
import signal
import subprocess
from itertools import pairwise

import pytest

from hvdtma.comm import SingleProcess
from hvdtma.core.config import dump_config
from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.best_model import load_best
from hvdtma.evaluation.score import Scorer
from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.folder import StartMode, read_lines
from hvdtma.runs.run_folder import RunFolder, round_of, write_model
from hvdtma.training.evaluator import RoundScorer, follow
from hvdtma.training.scores import MAX_RESTARTS, Scores
from hvdtma.training.session import train

MRR = BestMetric("mrr")


def config_for(store, run, mode: str, **changes):
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": 3,
        "rounds": 4,
        "model": {"hidden": 16},
        "task": {"batch_size": 64},
        "evaluate": {"mode": mode, "keep": 2},
    }
    return parse_config(values | changes)


@pytest.mark.parametrize("mode", ["follow", "inline", "final"])
def test_the_best_scored_round_is_kept_and_tested(community_store, tmp_path, mode):
    config = config_for(community_store, tmp_path / "run", mode)
    summary = train(config, SingleProcess())
    run = RunFolder.open(config.run)
    scored = {e["round"]: e["metrics"]["mrr"] for e in read_lines(run.scores)}
    assert 4 in scored  # the last round, whatever happens
    assert summary["best_round"] == max(scored, key=scored.__getitem__)
    assert summary["valid"]["mrr"] == max(scored.values())
    assert sorted([*scored, *summary["skipped_rounds"]]) == [1, 2, 3, 4]
    if mode == "inline":
        assert not summary["skipped_rounds"]
    assert [int(f.stem) for f in run.round_files()] == [3, 4]
    best = load_best(config.run)
    assert best.round == summary["best_round"]
    assert Scorer(config, best.store)(best.model, "test") == pytest.approx(summary["test"])


def test_summary_says_what_the_run_was(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "final")
    train(config, SingleProcess())
    summary = json.loads((config.run / "summary.json").read_text())
    keys = "method trainers interval_s rounds test valid wall_s share_not_training per_trainer"
    assert set(keys.split()) <= set(summary)
    each = "train_s wait_s aggregate_s steps positives_per_s peak_rss_bytes"
    assert set(each.split()) <= set(summary["per_trainer"][0])
    assert summary["per_trainer"][0]["steps"] == 12
    assert 0 <= summary["share_not_training"] < 1
    for name in ("config.yaml", "versions.json", "metrics.jsonl", "tensorboard"):
        assert (config.run / name).exists()
    assert RunFolder.open(config.run).config() == config  # its store's path is absolute


def test_an_evaluator_that_falls_behind_takes_the_newest_round(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "final")
    train(config, SingleProcess())
    run = RunFolder.open(config.run)
    run.scores.unlink()
    scorer = RoundScorer(run)
    assert scorer.score_newest()
    assert [event["round"] for event in read_lines(run.scores)] == [4]
    assert not scorer.score_newest()


def test_what_beats_the_best_round_by_another_metric_is_the_best(community_store, tmp_path):
    """At a resumption, say; a round between them, whose parameters are dropped, scored higher."""
    config = config_for(community_store, tmp_path / "run", "final", evaluate={"keep": 1})
    train(config, SingleProcess())
    run = RunFolder.open(config.run)
    scores = {1: (0.9, 0.1), 2: (0.8, 0.7), 3: (0.7, 0.2)}
    events = [{"round": n, "metrics": {"mrr": m, "auc": a}} for n, (m, a) in scores.items()]
    run.scores.write_text("".join(json.dumps(event) + "\n" for event in events))
    scorer = RoundScorer(run)
    write_model(run.best, scorer.model, round=1, time_s=1.0)
    evaluate = {"mode": "final", "metric": "auc"}
    config = config_for(community_store, run.path, "final", evaluate=evaluate)
    dump_config(config, run.config_file)
    scorer = RoundScorer(run)
    assert scorer.best == 0.1
    run.metrics.unlink()
    for event in events:
        append_json(run.metrics, event | {"kind": "score", "part": "valid"})
    scores = Scores(config, run, scorer.metric)  # early stopping counts from the very round
    assert (scores.best, scores.since_best) == (0.1, 2)
    scorer.scorer = lambda model, part: {"mrr": 0.1, "auc": 0.5}
    assert scorer.score_newest()
    assert round_of(run.best) == 4


def test_an_evaluator_scores_every_so_many_rounds(community_store, tmp_path):
    evaluate = {"mode": "follow", "every": 2, "keep": 9}
    config = config_for(community_store, tmp_path / "run", "follow", rounds=5, evaluate=evaluate)
    summary = train(config, SingleProcess())
    scored = {event["round"] for event in read_lines(config.run / "scores.jsonl")}
    assert scored <= {2, 4, 5}
    assert 5 in scored
    assert sorted(scored | set(summary["skipped_rounds"])) == [2, 4, 5]


@pytest.mark.parametrize("dies", ["once", "always"])
def test_no_kept_round_is_lost_with_an_evaluator_that_dies(
    community_store, tmp_path, monkeypatch, capsys, dies
):
    started = []
    start = Scores._start_evaluator

    def dying(scores: Scores) -> subprocess.Popen:
        process = start(scores)
        started.append(process)
        if dies == "always" or len(started) == 1:
            process.kill()
            process.wait()
        return process

    monkeypatch.setattr(Scores, "_start_evaluator", dying)
    evaluate = {"mode": "follow", "keep": 3}
    config = config_for(community_store, tmp_path / "run", "follow", rounds=7, evaluate=evaluate)
    summary = train(config, SingleProcess())
    scored = {event["round"] for event in read_lines(config.run / "scores.jsonl")}
    if dies == "always":
        assert scored == {5, 6, 7}
        assert len(started) == 1 + MAX_RESTARTS
    else:
        assert 7 in scored
        assert len(started) == 2
    assert summary["best_round"] in scored
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scoring ")]
    assert all(line != next_line for line, next_line in pairwise(said)), said


def test_an_evaluator_that_fails_on_the_last_round_is_replaced_without_saying_it_again(
    community_store, tmp_path
):
    train(config_for(community_store, tmp_path / "run", "final", rounds=1), SingleProcess())
    run, said = RunFolder.open(tmp_path / "run"), []
    run.scores.unlink()
    scores = Scores(config_for(community_store, tmp_path / "run", "follow", rounds=1), run, MRR)
    scores.process.kill()
    scores.finish(1, said.append)
    assert [event["round"] for event in read_lines(run.scores)] == [1]
    assert said == ["scoring round 1 on validation (1 more to score)"]


def test_a_round_that_was_dropped_meanwhile_is_passed_over(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "final")
    train(config, SingleProcess())
    run = RunFolder.open(config.run)
    run.scores.unlink()
    RoundScorer(run).score(run.rounds / "000001.safetensors")
    assert not run.scores.exists()


def test_validation_that_no_longer_improves_stops_the_run(community_store, tmp_path):
    config = config_for(
        community_store,
        tmp_path / "run",
        "inline",
        rounds=40,
        interval_steps=1,
        optimizer={"lr": 1e-12},
        evaluate={"mode": "inline", "patience": 2},
    )
    summary = train(config, SingleProcess())
    assert summary["stopped"] == "early stopping"
    assert summary["rounds"] < 40


def test_a_fixed_sample_of_validation_is_scored_and_all_of_test(community_store, tmp_path):
    def scorer(most: int) -> Scorer:
        return Scorer(
            config_for(community_store, tmp_path, "final", evaluate={"max_links": most}),
            community_store,
        )

    first, again, whole = scorer(20), scorer(20), scorer(0)
    assert len(first.held_out["valid"]) == 20
    assert (first.held_out["valid"].src == again.held_out["valid"].src).all()
    assert len(first.held_out["test"]) == len(whole.held_out["test"]) > 20


def test_node_classification_learns_the_communities(community_store, tmp_path):
    config = config_for(
        community_store,
        tmp_path / "run",
        "final",
        rounds=30,
        task={"name": "nodes", "batch_size": 64},
        optimizer={"lr": 0.02},
    )
    summary = train(config, SingleProcess())
    assert set(summary["test"]) == {"accuracy", "macro_f1"}
    assert summary["test"]["accuracy"] > 0.5


@pytest.mark.parametrize("decoder", ["dot", "distmult"])
def test_typed_directed_links_train_and_score(typed_store, tmp_path, decoder):
    config = config_for(
        typed_store, tmp_path / "run", "final", task={"decoder": decoder, "batch_size": 32}
    )
    assert 0 < train(config, SingleProcess())["test"]["mrr"] <= 1


@pytest.mark.parametrize("negatives", ["local", "global", "in-batch"])
@pytest.mark.parametrize("shared", [False, True])
def test_every_kind_of_negatives_trains(community_store, tmp_path, negatives, shared):
    task = {"negatives": negatives, "share_negatives": shared, "decoder": "cosine"}
    config = config_for(community_store, tmp_path / "run", "final", task=task, rounds=1)
    assert train(config, SingleProcess())["rounds"] == 1


@pytest.mark.parametrize("encoder", ["gcn", "gat", "mlp"])
def test_every_encoder_trains(community_store, tmp_path, encoder):
    config = config_for(
        community_store,
        tmp_path / "run",
        "final",
        rounds=1,
        first_hop=encoder == "gcn",
        model={"encoder": encoder, "hidden": 16, "layers": 3},
    )
    assert train(config, SingleProcess())["rounds"] == 1


def test_damaged_parameters_are_named(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "final", rounds=1)
    train(config, SingleProcess())
    best = config.run / "best.safetensors"
    shutil.copy(config.run / "config.yaml", best)
    with pytest.raises(UserError, match=r"best\.safetensors is damaged"):
        load_best(config.run)


def test_overwriting_removes_runs_and_nothing_else(community_store, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.yaml").write_text("mine: too")
    (folder / "thesis.tex").write_text("years of work")
    config = config_for(community_store, folder, "final", rounds=1)
    with pytest.raises(UserError, match="is no run"):
        train(config, SingleProcess(), mode=StartMode.OVERWRITE)
    assert (folder / "thesis.tex").read_text() == "years of work"


def test_an_evaluator_ends_when_its_trainer_is_gone(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "final", rounds=1)
    train(config, SingleProcess())
    run = RunFolder.open(config.run)
    run.done.unlink()
    follow(run, parent=-1)  # nobody's child: returns instead of waiting for ever


def test_an_evaluator_that_is_stopped_does_not_hold_a_finished_run(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "follow", hang_limit_s=1.0)
    train(config, SingleProcess())
    run = RunFolder.open(config.run)
    run.scores.write_text("")
    run.done.unlink()
    scores = Scores(config, run, MRR)
    scores.process.send_signal(signal.SIGSTOP)
    scores.finish(4, lambda _: None)
    assert {event["round"] for event in run.score_events()} == {3, 4}
    assert scores.process.returncode == -signal.SIGKILL


def test_an_evaluator_that_inherited_an_ignored_sigterm_is_ended(
    community_store, tmp_path, monkeypatch
):
    """A process that was told to stop ignores a second SIGTERM, and so do those it starts."""
    monkeypatch.setattr("hvdtma.training.scores.TERMINATE_S", 1.0)
    train(config_for(community_store, tmp_path / "run", "final"), SingleProcess())
    run = RunFolder.open(tmp_path / "run")
    run.done.unlink(missing_ok=True)
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        scores = Scores(config_for(community_store, tmp_path / "run", "follow"), run, MRR)
    finally:
        signal.signal(signal.SIGTERM, handler)
    scores.stop()
    assert scores.process.returncode == -signal.SIGKILL
