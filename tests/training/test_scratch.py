"""A scratch folder that scoring cannot use is said before training; a lost one costs no round."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from hvdtma.comm import SingleProcess
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.budget import ScoringBudget, scoring_requirement, scratch_bytes
from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.folder import read_lines
from hvdtma.runs.run_folder import RunFolder
from hvdtma.tasks import make_model, make_task
from hvdtma.training.evaluator import REFUSED
from hvdtma.training.scores import MAX_RESTARTS, Scores
from hvdtma.training.session import train


@pytest.fixture
def config(community_store, tmp_path):
    """Of a run whose layers are scored by way of files in `scratch`."""
    (tmp_path / "scratch").mkdir()
    values = {
        "store": str(community_store.path),
        "run": str(tmp_path / "run"),
        "scratch_dir": str(tmp_path / "scratch"),
        "interval_steps": 2,
        "rounds": 3,
        "model": {"hidden": 20_000, "layers": 1},
        "task": {"batch_size": 8, "decoder": "dot", "num_negatives": 1},
        "evaluate": {"mode": "final"},
    }
    requirement = scoring_requirement(parse_config(values), community_store)
    least = re.search(r"memory_gb=(\S+)", str(requirement.too_small(0)))[1]
    config = parse_config(values | {"memory_gb": float(least)})
    assert scratch_bytes(config, community_store, ScoringBudget.of(config, requirement)) > 0
    return config


def written(config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_none=True)))
    return path


class WhileItTrains(SingleProcess):
    """One trainer; when it first meets the others, so to say, its scratch folder is removed."""

    def __init__(self, folder):
        self.folder = folder

    def all_gather(self, row):
        shutil.rmtree(self.folder, ignore_errors=True)
        return super().all_gather(row)


def test_a_folder_that_is_not_there_is_said_before_training(hvdtma, config, tmp_path):
    config.scratch_dir.rmdir()
    status, _, err = hvdtma("train", written(config, tmp_path))
    assert status == 2
    assert f"scratch_dir {config.scratch_dir} does not exist; make it" in " ".join(err.split())
    assert not config.run.exists()


def test_a_folder_lost_during_training_is_one_message_and_the_parameters_are_kept(
    hvdtma, config, community_store
):
    with pytest.raises(UserError, match=r"scoring failed: scratch_dir .*hvdtma evaluate") as error:
        train(config, WhileItTrains(config.scratch_dir))
    run = RunFolder.open(config.run)
    assert [int(path.stem) for path in run.round_files()] == [1, 2, 3]
    assert read_lines(run.metrics)[-1] == {"kind": "failed", "why": str(error.value)}
    status, _, err = hvdtma("evaluate", config.run)
    assert status == 2
    assert "does not exist" in err
    config.scratch_dir.mkdir()
    status, out, err = hvdtma("evaluate", config.run)
    assert status == 0, err
    assert json.loads(out)["round"] == 3


def test_embedding_says_first_that_its_folder_is_lost(hvdtma, config, tmp_path):
    train(config, SingleProcess())
    assert not any(config.scratch_dir.iterdir())
    config.scratch_dir.rmdir()
    status, _, err = hvdtma("embed", config.run, "--out", tmp_path / "e.parquet")
    assert status == 2
    assert "does not exist; make it" in " ".join(err.split())
    assert not (tmp_path / "e.parquet").exists()


def test_an_evaluator_that_says_why_it_cannot_go_on_is_not_started_again(
    config, community_store, capsys
):
    follow = {"evaluate": {"mode": "follow"}}
    config = parse_config(config.model_dump(mode="json", exclude_none=True) | follow)
    run = RunFolder.create(config, community_store)
    model = make_model(config, community_store, make_task(config, community_store))
    config.scratch_dir.rmdir()
    scores = Scores(config, run, BestMetric("mrr"))
    try:
        run.write_round(1, 1.0, model, keep=5)
        assert scores.process.wait() == REFUSED
        assert scores.after_round(1) == []
        assert scores.process is None
        assert scores.restarts_left == MAX_RESTARTS
    finally:
        scores.stop()
    said = " ".join(capsys.readouterr().err.split())
    assert f"scratch_dir {config.scratch_dir} cannot be written to" in said
    assert "the remaining rounds are scored at the end" in said


def test_a_scratch_folder_is_the_same_one_wherever_a_run_is_read_from(
    config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    train(config.model_copy(update={"scratch_dir": Path("scratch")}), SingleProcess())
    monkeypatch.chdir("/")
    assert RunFolder.open(config.run).config().scratch_dir == tmp_path / "scratch"
