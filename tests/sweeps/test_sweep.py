"""Sweeps train every trial, resume, survive failures, and choose by validation."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from processes import command
from yaml import safe_dump

import hvdtma as api
from hvdtma.core.errors import Interrupted, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.runs.folder import read_lines
from hvdtma.sweeps.run import print_results, run_here, run_sweep
from hvdtma.sweeps.sweep import Sweep, SweepRequest
from hvdtma.training.launch import train_here
from slurm.folder import JobFolder


@pytest.fixture
def config(tmp_path, community_store, monkeypatch):
    """A config file in the working directory."""
    monkeypatch.chdir(tmp_path)
    values = {
        "store": str(community_store.path),
        "run": "sweep",
        "interval_steps": 2,
        "rounds": 2,
        "model": {"hidden": 8},
        "evaluate": {"mode": "inline"},
        "log": [],
    }
    (tmp_path / "c.yaml").write_text(safe_dump(values))
    return "c.yaml"


def here(trial, config):
    """Trains a trial in this process, which is quicker than a process of its own."""
    try:
        train_here(config, or_resume=True)
    except UserError as error:
        return trial.failed(str(error))
    return trial.with_result()


def swept(config, *words, run_trial=here, **options):
    sweep = Sweep(SweepRequest(config, words, **options))
    run_here(sweep, run_trial=run_trial)
    return sweep


def test_every_trial_is_a_run_and_the_best_is_chosen_by_validation(config, capsys):
    sweep = swept(config, "optimizer.lr=0.0001,0.1", "seed=0,1", "model.layers=1")
    assert [trial.run.name for trial in sweep.trials] == [
        *("001-optimizer.lr=0.0001,seed=0", "002-optimizer.lr=0.0001,seed=1"),
        *("003-optimizer.lr=0.1,seed=0", "004-optimizer.lr=0.1,seed=1"),
    ]
    scores = {}
    for trial in sweep.trials:
        run = api.Run(trial.run)
        assert run.config.model.layers == 1
        assert f"optimizer.lr={run.config.optimizer.lr:g}" == trial.words[0]
        scores[trial.number] = run.summary["valid"]["mrr"]
        assert trial.score == pytest.approx(scores[trial.number])
    print_results(sweep)
    out = capsys.readouterr().out
    best = max(scores, key=lambda number: scores[number])
    assert f"best by validation: trial {best} " in out
    rows = [line.split() for line in out.splitlines() if re.match(r" +\d ", line)]
    assert [int(row[0]) for row in rows] == sorted(scores, key=lambda n: (-scores[n], n))
    assert "test" not in out.split("best by validation")[0]


def test_a_failed_trial_is_said_and_ends_nothing_and_is_tried_again_when_asked(config, capsys):
    calls = []

    def trained(trial, path):
        calls.append(trial.number)
        return trial.failed("the loss was not finite") if len(calls) == 1 else here(trial, path)

    words = ("seed=0,1",)
    sweep = swept(config, *words, run_trial=trained)
    assert [trial.state for trial in sweep.trials] == ["failed", "finished"]
    print_results(sweep)
    said = capsys.readouterr()
    assert "trial 1 failed: the loss was not finite" in said.out
    assert "(seed=0) failed: the loss was not finite" in said.err

    swept(config, *words, run_trial=trained)
    assert calls == [1, 2]  # nothing is left to do
    sweep = swept(config, *words, run_trial=trained, retry_failed=True)
    assert calls == [1, 2, 1]
    assert [trial.state for trial in sweep.trials] == ["finished", "finished"]


def test_values_that_do_not_go_together_fail_one_trial_only(config):
    words = ("model.encoder=sage,gat", "first_hop=true,false", "model.heads=4")
    sweep = Sweep(SweepRequest(config, [*words], trials=4, search="grid"))
    run_here(sweep, run_trial=lambda trial, path: trial)
    assert [trial.state for trial in sweep.trials] == ["started", "started", "failed", "started"]
    assert "set first_hop=false" in sweep.trials[2].why


def test_an_interrupted_sweep_goes_on_with_the_same_trials(config):
    shutdown, seen = ShutdownSignal(), []

    def interrupted_in_the_second(trial, path):
        seen.append(trial.words)
        if len(seen) == 2:
            shutdown._handle(0, None)
            return trial
        return here(trial, path)

    request = SweepRequest(config, ["optimizer.lr=1e-4..1e-2"], trials=3, search="random")
    with pytest.raises(Interrupted, match="after 1 of 3 trials; the same command goes on"):
        run_here(Sweep(request), shutdown, interrupted_in_the_second)
    sweep = Sweep(request)
    run_here(sweep, run_trial=lambda trial, path: seen.append(trial.words) or here(trial, path))
    assert seen[2] == seen[1]
    assert len(seen) == 4
    assert len({trial.words[0] for trial in sweep.trials}) == 3
    more = swept(config, "optimizer.lr=1e-4..1e-2", trials=4, search="random")
    assert more.trials[:3] == sweep.trials
    assert len(more.trials) == 4


def test_another_sweep_or_a_run_in_the_folder_is_refused_and_kept(config, tmp_path):
    swept(config, "seed=0,1", run_trial=lambda trial, path: trial.failed("x"))
    with pytest.raises(UserError, match=r"is another sweep: keys was .*; rounds was 2 and is 3"):
        Sweep(SweepRequest(config, ["seed=0,2", "rounds=3"]))
    assert (tmp_path / "sweep/trials/001-seed=0.yaml").is_file()
    words = ["seed=0,1", "model.hidden=16"]
    train_here("sweep/trials/001-seed=0.yaml")  # a run that the new sweep would give its name to
    replaced = Sweep(SweepRequest(config, words, overwrite=True))
    assert replaced.trials == []
    api.train(config, run="a-run")
    with pytest.raises(UserError, match="a-run exists and is a run; give run=ANOTHER"):
        Sweep(SweepRequest(config, ["seed=0,1", "run=a-run"], overwrite=True))
    assert (tmp_path / "a-run/summary.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.hiden=8,16"], "unknown key 'model.hiden'.*did you mean 'hidden'"),
        (["model.hidden=8,lots"], "'model.hidden' is 'lots'; valid: a whole number"),
        (["optimizer.lr=-1..1"], "'optimizer.lr' is -1.*from 0 to"),
        (["model.layers=1.5..3", "--trials", "2"], "'model.layers' is 1.5"),
        (["optimizer.lr=1e-2..1e-4", "--trials", "2"], "the range is empty"),
        (["optimizer.lr=1e-4..1e-2"], "give --trials N"),
        (["seed=0,1", "--search", "gird"], "--search is 'gird'"),
        (["seed=0,1", "store=gone.zarr"], "no store at .*gone.zarr"),
        (["seed=0,1", "--cluster", "slrm"], "cluster is 'slrm'; valid: slurm, local"),
        (["seed=0,1", "--cluster", "local", "--in-process", "2"], "give --tasks-per-node"),
        ([], "no key has several values"),
    ],
)
def test_what_cannot_be_swept_is_one_message_and_makes_nothing(
    config, words, message, hvdtma, tmp_path
):
    status, out, err = hvdtma("sweep", config, *words)
    assert status == 2
    assert err.count("error:") == 1 and "Traceback" not in out + err
    assert re.search(message, " ".join(err.split())), err
    assert not (tmp_path / "sweep").exists() or not list((tmp_path / "sweep").rglob("summary.json"))


def test_by_command_trials_are_processes_whose_death_ends_no_other(config, tmp_path, hvdtma):
    """The second trial's encoder kills its process."""
    (tmp_path / "deadly.py").write_text(
        "import os, signal\nfrom hvdtma.models.encoders import SAGE\n\n"
        "class Deadly(SAGE):\n    def forward(self, *args, **keywords):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    words = ("model.encoder=sage,deadly:Deadly", "--in-process", 2, "--jobs", 2)
    done = subprocess.run(command("sweep", config, *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "best by validation: trial 1 (model.encoder=sage)" in done.stdout
    assert re.search(r"trial 2 failed: .*signal SIGKILL", done.stdout)
    assert (
        json.loads((tmp_path / "sweep/trials/001-model.encoder=sage/summary.json").read_text())[
            "trainers"
        ]
        == 2
    )
    again = hvdtma("sweep", config, *words)  # nothing is left: it answers at once
    assert again[0] == 0 and "best by validation: trial 1" in again[1]


def test_trials_are_submitted_as_jobs_and_taken_in_by_the_same_command(config, capsys):
    resources = {"nodes": 1, "tasks_per_node": 1, "time": "5m"}
    request = SweepRequest(config, ["seed=0,1"], trials=1, cluster="local", resources=resources)
    for _ in range(2):  # the second time, there is nothing to submit
        sweep = Sweep(request)
        run_sweep(sweep)
        assert [trial.state for trial in sweep.trials] == ["finished"]
        assert "best by validation: trial 1" in capsys.readouterr().out
    assert len(read_lines(JobFolder(Path("sweep.jobs")).jobs)) == 1


def test_from_python(config, monkeypatch):
    monkeypatch.setattr("hvdtma.sweeps.run.TrialProcesses.run", lambda self, *trial: here(*trial))
    found = api.sweep(config, {"model.hidden": [4, 8], "task.loss": ["softmax"]}, trainers=2)
    assert [trial.words for trial in found.trials] == [["model.hidden=4"], ["model.hidden=8"]]
    best = max(found.trials, key=lambda trial: trial.score)
    assert found.best.path == best.run
    with pytest.raises(UserError, match=r"model.hidden is 4; give a list of values"):
        api.sweep(config, {"model.hidden": 4})
