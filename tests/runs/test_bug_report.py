"""A report of a bug has versions, the machine and how a run ended; no ids and no paths."""

import json

import pytest
from typer.testing import CliRunner

import hvdtma
from hvdtma.cli.app import app
from hvdtma.runs.bug_report import bug_report, without_private_words


@pytest.fixture(scope="module")
def run(tmp_path_factory, community_store):
    folder = tmp_path_factory.mktemp("private-folder") / "secret-run"
    return hvdtma.train(
        store=community_store.path,
        run=folder,
        interval_steps=2,
        rounds=2,
        model={"hidden": 8, "encoder": "gcn"},
        evaluate={"metric": "hits@10", "mode": "final"},
    )


def test_it_says_what_one_would_ask_for(run):
    said = bug_report(run.path)
    for part in ("hvdtma | 0.", "| torch | ", "| Slurm | ", "| transports | ", "| cores of this"):
        assert part in said
    assert "The run: finished, 1 trainer(s), 2 rounds" in said
    for setting in ("model.encoder: gcn", "model.hidden: 8", "evaluate.metric: hits@10"):
        assert setting in said
    assert "dropout" not in said  # a default


def test_paths_and_ids_are_left_out(run):
    with run.path.joinpath("metrics.jsonl").open("a") as file:
        event = {"kind": "failed", "why": "no node 'Ada Lovelace' in /home/ada/graph.zarr; see x"}
        file.write(json.dumps(event) + "\n")
    run.path.joinpath("summary.json").unlink()
    said = bug_report(run.path)
    assert "The run: failed" in said
    assert "no node ... in ... see x" in said
    for private in ("Ada", "ada", "secret-run", "private-folder", "community"):
        assert private not in said


def test_names_with_blanks_and_quotes_are_left_out():
    text = "column \"Patient name\" of 'a b.csv' and `x y`, C:/data/x.csv: 3 rows"
    assert without_private_words(text) == "column ... of ... and ..., ... 3 rows"


def test_the_command_prints_it_and_refuses_what_is_no_run(tmp_path):
    done = CliRunner().invoke(app, ["bug-report"])
    assert done.exit_code == 0
    assert done.stdout.startswith("| what | value |")
    with pytest.raises(hvdtma.UserError, match="no run"):
        bug_report(tmp_path)
