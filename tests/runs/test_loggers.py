"""Loggers get the numbers of a run; those that cannot be used are refused before it begins."""

import csv
import json
import re
import sys
import textwrap
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from yaml import safe_dump

import hvdtma as api
from hvdtma.core.errors import UserError
from hvdtma.runs.event_log import EventLog
from hvdtma.runs.folder import BaseRunFolder
from hvdtma.runs.loggers import LoggedRun, make_loggers
from hvdtma.runs.loggers.csv_table import CSVTable
from hvdtma.runs.loggers.tensorboard import TensorBoard

MY_LOGGER = """
    import json

    class MyLogger:
        def __init__(self, file="lines.jsonl", ends_after=10**9):
            self.name, self.ends_after = file, ends_after

        def start(self, run):
            self.file = (run.folder / self.name).open("a")
            print(json.dumps([run.settings["model.hidden"], run.metrics]), file=self.file)

        def log(self, values, step):
            self.ends_after -= 1
            if self.ends_after < 0:
                raise RuntimeError("the server is gone")
            print(json.dumps([step, values]), file=self.file, flush=True)

        def finish(self):
            self.file.close()

    class NoFinish:
        def start(self, run): ...
        def log(self, values, step): ...
"""


@pytest.fixture
def config(tmp_path, community_store, monkeypatch):
    """Values of a brief config, in a folder with a logger of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "my_pkg", raising=False)
    (tmp_path / "my_pkg.py").write_text(textwrap.dedent(MY_LOGGER))
    return {
        "store": str(community_store.path),
        "run": "run",
        "interval_steps": 2,
        "rounds": 3,
        "model": {"hidden": 8},
        "evaluate": {"mode": "inline"},
        "optimizer": {"schedule": {"name": "linear", "unit": "rounds"}},
    }


def curves_of(folder):
    """Tag -> {step: value} of the event files in a folder, and the summaries of the plug-ins."""
    board = EventAccumulator(str(folder))
    board.Reload()
    curves = {
        tag: {point.step: point.value for point in board.Scalars(tag)}
        for tag in board.Tags()["scalars"]
    }
    return curves, board.summary_metadata


def rows_of(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_tensorboard_csv_and_ones_own_logger_have_the_numbers_of_the_events(config):
    config |= {"log": ["tensorboard", "csv", "my_pkg:MyLogger"]}
    config |= {"log_options": {"my_pkg:MyLogger": {"file": "mine.jsonl"}}}
    run = api.train(config, trainers=2)
    rounds = {e["round"]: e for e in run.metrics if e["kind"] == "round"}
    curves, metadata = curves_of("run/tensorboard")
    for number, event in rounds.items():
        losses = [trainer["loss"] for trainer in event["trainers"]]
        assert curves["loss/mean"][number] == pytest.approx(sum(losses) / 2)
        assert curves["loss/trainer_1"][number] == pytest.approx(losses[1])
        assert curves["lr"][number] == pytest.approx(0.003 * (1 - (number - 1) / 3))
    best = run.summary["best_round"]
    assert curves["test/mrr"] == {best: pytest.approx(run.summary["test"]["mrr"])}
    assert set(curves["valid/mrr"]) == {1, 2, 3}

    given = plugin_data_pb2.HParamsPluginData.FromString(
        metadata["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info.hparams
    assert given["model.hidden"].number_value == 8
    assert given["optimizer.schedule.name"].string_value == "linear"
    shown = plugin_data_pb2.HParamsPluginData.FromString(
        metadata["_hparams_/experiment"].plugin_data.content
    ).experiment.metric_infos
    assert [info.name.tag for info in shown] == ["valid/mrr", "test/mrr"]

    rows = rows_of("run/log.csv")
    of_csv = {name: {} for name in curves}
    for row in rows:
        of_csv[row["name"]][int(row["step"])] = pytest.approx(float(row["value"]))
    assert curves == of_csv

    first, *lines = map(json.loads, Path("run/mine.jsonl").read_text().splitlines())
    assert first == [8, ["valid/mrr", "test/mrr"]]
    assert lines[0][0] == 1 and "loss/mean" in lines[0][1]

    api.train(resume=run, rounds=4, log=["csv"])  # loggers may change; nothing is there twice
    steps = [row["step"] for row in rows_of("run/log.csv") if row["name"] == "lr"]
    assert steps == ["1", "2", "3", "4"]


def test_without_loggers_nothing_is_logged_but_events(config):
    run = api.train(config, log=[])
    assert not {"tensorboard", "log.csv"} & {path.name for path in run.path.iterdir()}
    assert run.summary["rounds"] == 3


def test_a_logger_that_fails_is_named_and_the_run_goes_on(config, capsys):
    run = api.train(
        config,
        log=["my_pkg:MyLogger", "csv"],
        log_options={"my_pkg:MyLogger": {"ends_after": 1}},
    )
    assert run.summary["rounds"] == 3
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("MyLogger failed: RuntimeError: the server is gone") == 1
    assert "the run goes on without it" in said
    assert "\n3,lr," in run.path.joinpath("log.csv").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"log": ["tensorbord"]}, "unknown logger 'tensorbord'.*did you mean 'tensorboard'"),
        ({"log": "csv"}, "'log' is 'csv'; valid: a list of texts"),
        ({"log": ["csv", "csv"]}, "log has 'csv' twice"),
        ({"log": ["my_pkg:MyLoger"]}, "has no 'MyLoger'.*did you mean 'MyLogger'"),
        ({"log": ["my_pkg:NoFinish"]}, "NoFinish is not a logger: it has no `finish`"),
        ({"log": ["gone:X"]}, "cannot be imported: ModuleNotFoundError"),
        ({"log": ["not_there"]}, "valid: tensorboard, csv, wandb, mlflow, or an import path"),
        ({"log_options": {"wanbd": {}}}, "unknown logger 'wanbd'.*did you mean 'wandb'"),
        (
            {"log": ["my_pkg:MyLogger"], "log_options": {"my_pkg:MyLogger": {"fil": "x"}}},
            "takes no option 'fil'; valid: file, ends_after; did you mean 'file'",
        ),
        ({"log": ["wandb"]}, "'wandb' needs the library wandb.*pip install wandb"),
        ({"log": ["csv", "mlflow"]}, "'mlflow' needs the library mlflow.*pip install mlflow"),
    ],
)
def test_what_cannot_log_is_one_message_before_a_run_is_made(
    config, changes, words, hvdtma, tmp_path, monkeypatch
):
    for name in ("wandb", "mlflow"):  # also where they are installed
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "c.yaml").write_text(safe_dump(config | changes))
    status, out, err = hvdtma("train", "c.yaml")
    assert status == 2
    assert err.count("error:") == 1 and "Traceback" not in out + err
    assert re.search(words, " ".join(err.split())), err
    assert not (tmp_path / "run").exists()


class Recorded:
    """Stands in for a library: answers every call with itself, and keeps what it was told."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **keywords):
            self.calls.append((name, arguments, keywords))
            return [] if name == "search_runs" else self

        return call


def feed(loggers, folder, first_step=None):
    """Numbers as a run writes them: a score comes after the loss of a later round."""
    run = BaseRunFolder(folder)
    folder.mkdir(exist_ok=True)
    logged = LoggedRun(folder, {"seed": 1, "model.encoder": "sage"}, ("valid/mrr",), first_step)
    with EventLog(run, lambda _: None, loggers=loggers, logged=logged) as log:
        log.values({"loss/mean": 0.5, "loss/trainer_1": float("nan")}, 1)
        log.values({"loss/mean": 0.4}, 2)
        log.values({"valid/hits@10": 0.3, "valid/auc": None}, 1)


def test_wandb_is_told_settings_values_and_the_same_id_after_a_resumption(tmp_path, monkeypatch):
    wandb = Recorded()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    folder = tmp_path / "a run"
    for first_step in (None, 3):
        values = {"store": "s", "run": "r", "rounds": 1, "log": ["wandb"]}
        config = api.load_config(values | {"log_options": {"wandb": {"mode": "offline"}}})
        feed(make_loggers(config), folder, first_step)
    starts = [keywords for name, _, keywords in wandb.calls if name == "init"]
    assert starts[0] == starts[1]
    assert starts[0]["config"] == {"seed": 1, "model.encoder": "sage"}
    assert (starts[0]["name"], starts[0]["mode"]) == ("a run", "offline")
    assert (starts[0]["project"], starts[0]["resume"]) == ("hvdtma", "allow")
    logged = [arguments[0] for name, arguments, _ in wandb.calls if name == "log"][:3]
    assert logged == [
        {"loss/mean": 0.5, "round": 1},
        {"loss/mean": 0.4, "round": 2},
        {"valid/hits@10": 0.3, "round": 1},
    ]
    assert [name for name, _, _ in wandb.calls].count("finish") == 2


def test_mlflow_is_told_settings_and_values_under_names_that_it_takes(tmp_path, monkeypatch):
    mlflow = Recorded()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    config = api.load_config(store="s", run="r", rounds=1, log=["mlflow"])
    feed(make_loggers(config), tmp_path / "run")
    told = {name: (arguments, keywords) for name, arguments, keywords in mlflow.calls}
    assert told["set_experiment"] == (("hvdtma",), {})
    assert told["start_run"][1]["run_name"] == "run"
    assert told["log_params"] == (({"seed": 1, "model.encoder": "sage"},), {})
    assert told["log_metrics"] == (({"valid/hits_at_10": 0.3},), {"step": 1})
    assert "end_run" in told


def test_a_resumed_run_draws_no_step_twice(tmp_path):
    for first_step in (None, 2):
        feed([TensorBoard(), CSVTable()], tmp_path / "run", first_step)
    rows = (tmp_path / "run/log.csv").read_text().splitlines()
    assert rows.count("2,loss/mean,0.4") == 1
    curves, _ = curves_of(tmp_path / "run/tensorboard")
    assert curves["loss/mean"] == {1: 0.5, 2: pytest.approx(0.4)}


def test_a_logger_that_cannot_start_a_new_run_is_one_message(tmp_path):
    class Refuses(CSVTable):
        def start(self, run):
            raise RuntimeError("no key; log in first")

    with pytest.raises(UserError, match="Refuses failed: RuntimeError: no key; log in first"):
        feed([Refuses()], tmp_path / "run")


def test_the_profiler_writes_a_chrome_trace_of_the_first_trainers_steps(config, hvdtma, tmp_path):
    (tmp_path / "c.yaml").write_text(safe_dump(config | {"interval_steps": 4}))
    status, _, err = hvdtma("train", "c.yaml", "--in-process", 2, "--profile", 3)
    assert status == 0, err
    assert "trace of 3 steps: run/profile.json" in err
    events = json.loads((tmp_path / "run/profile.json").read_text())["traceEvents"]
    names = [event.get("name", "") for event in events]
    for name in ("batch", "loss", "backward"):
        assert names.count(name) == 3
    assert any(name.startswith("Optimizer.step") for name in names)
