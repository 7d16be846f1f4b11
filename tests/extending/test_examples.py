"""Every example of docs/extending.md works from outside the package, wherever hvdtma runs it."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from processes import command
from yaml import safe_dump

from hvdtma.comm import InProcessGroup
from hvdtma.core import registry
from hvdtma.core.errors import Interrupted, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import load_train_config
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import StartMode
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.monitor import RunMonitor
from hvdtma.training.session import train

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/extending.md").read_text()
EXAMPLES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", TEXT, re.DOTALL))
PLUGGED_IN = {
    "my_encoder": {
        "model": {"encoder": "my_encoder:MyEncoder", "options": {"aggr": "max"}, "hidden": 8},
        "first_hop": False,
    },
    "my_loss": {"task": {"name": "my_loss:FocalLinks", "options": {"gamma": 1.0}}},
    "my_sampler": {
        "sampler": {"name": "my_sampler:FirstNeighbours", "options": {"most": 5}},
        "first_hop": False,
    },
    "my_aggregator": {
        "aggregate": {"name": "my_aggregator:HeadByOne", "options": {"prefix": "head"}},
    },
}
STEPS, ROUNDS = 4, 4


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of a stranger: the examples as files, and the working directory."""
    for name, code in EXAMPLES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for name in EXAMPLES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in EXAMPLES:
        sys.modules.pop(name, None)


def config_file(folder, store, **changes):
    values = {
        "store": str(store.path),
        "run": "run",
        "interval_steps": STEPS,
        "rounds": ROUNDS,
        "model": {"hidden": 8},
        "task": {"batch_size": 64},
        "evaluate": {"mode": "follow"},
        "checkpoint": {"every": 0},
    }
    for key, value in changes.items():
        nested = isinstance(values.get(key), dict)
        values[key] = values[key] | value if nested else value
    path = folder / "c.yaml"
    path.write_text(safe_dump(values))
    return path


def interrupted_in_mid_round(monkeypatch):
    shutdown, original, taken = ShutdownSignal(), RunMonitor.on_step, []

    def count(self, averaging):
        original(self, averaging)
        taken.append(averaging)
        if len(taken) == 2 * STEPS + 3:
            shutdown._handle(0, None)

    monkeypatch.setattr(RunMonitor, "on_step", count)
    return shutdown


def test_every_contract_has_an_example_of_less_than_40_lines():
    wanted = {
        *("my_partition", "my_source", "my_callback", "my_logger"),
        "my_typed_encoder",  # tests/training/test_typed_training.py trains it
        *PLUGGED_IN,
    }
    assert set(EXAMPLES) == wanted
    assert all(len(code.splitlines()) < 40 for code in EXAMPLES.values())


@pytest.mark.parametrize("name", PLUGGED_IN)
def test_it_trains_is_scored_by_the_evaluator_resumes_elsewhere_and_embeds(
    name, folder, community_store, monkeypatch
):
    check_all_uses(folder, community_store, monkeypatch, **PLUGGED_IN[name])


def check_all_uses(folder, store, monkeypatch, **changes):
    """Two trainers and an evaluator process, cut short; three go on; a command embeds."""
    config = load_train_config(config_file(folder, store, **changes))
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        shutdown = interrupted_in_mid_round(patched)
        InProcessGroup(2).run(lambda comm: train(config, comm, shutdown=shutdown))
    summary = InProcessGroup(3).run(lambda comm: train(config, comm, mode=StartMode.RESUME))[0]
    assert summary["trainers"] == 3
    assert summary["rounds"] == ROUNDS
    events = RunFolder(config.run).events()
    scored = [e["round"] for e in events if e["kind"] == "score" and e["part"] == "valid"]
    assert ROUNDS in scored
    assert "Traceback" not in (config.run / "evaluator.log").read_text()
    done = subprocess.run(
        command("embed", "run", "--out", "e.parquet"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert pq.read_table("e.parquet").num_rows == store.num_nodes
    scored_again = subprocess.run(command("evaluate", "run"), capture_output=True, text=True)
    assert json.loads(scored_again.stdout)["mrr"] == pytest.approx(summary["test"]["mrr"], abs=1e-6)


def test_it_trains_under_a_launcher_and_is_planned(folder, community_store):
    path = config_file(folder, community_store, **PLUGGED_IN["my_encoder"], rounds=2)
    path_variable = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["horovodrun", "-np", "2", *command("train", path)],
        env=os.environ | {"PATH": path_variable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert RunFolder("run").summary.exists()
    planned = subprocess.run(
        command("plan", path, "--quick", "--json", "run=other"), capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)


def test_a_partition_method_orders_a_store_by_command_and_trainers_learn_on_it(
    folder, community_store, hvdtma, monkeypatch
):
    status, _, said = hvdtma(
        *("partition", community_store.path, "out.zarr"),
        *("--method", "my_partition:ByDegree", "--option", "ascending=true", "--trainers", 3),
    )
    assert status == 0, said
    made = open_store("out.zarr")
    degree = made.read("indptr")[1:] - made.read("indptr")[:-1]
    assert (degree[1:] >= degree[:-1]).all()
    assert sorted(made.node_ids().to_list()) == sorted(community_store.node_ids().to_list())
    assert made.attrs["order"]["method"] == "my_partition:ByDegree"
    check_all_uses(folder, made, monkeypatch)


def test_a_data_source_is_built_by_command(folder, hvdtma):
    build = ("build", "out.zarr", "my_source:load:num_nodes=300,degree=4", "--feature-dim", 4)
    status, _, said = hvdtma(*build, "--negatives", 10)
    assert status == 0, said
    made = open_store("out.zarr")
    assert made.num_nodes == 300
    assert 1000 < made.num_edges + sum(links for links, _ in made.held_out.values()) <= 1200
    assert made.label_names == ["north", "east", "south", "west"]


def test_a_callback_may_stop_training(folder, community_store, capsys):
    from my_callback import PrintLoss

    config = load_train_config(config_file(folder, community_store, rounds=50))
    callbacks = [PrintLoss(low_enough=100.0)]
    (summary,) = InProcessGroup(1).run(lambda comm: train(config, comm, callbacks=callbacks))
    assert "round 1: mean loss" in capsys.readouterr().out
    assert summary["rounds"] < 5
    assert summary["stopped"] == "early stopping"


def test_a_logger_keeps_the_numbers_of_a_run(folder, community_store):
    changes = {"log": ["my_logger:SQLite"], "log_options": {"my_logger:SQLite": {"file": "x.db"}}}
    config = load_train_config(
        config_file(folder, community_store, **changes, evaluate={"mode": "final"})
    )
    (summary,) = InProcessGroup(1).run(lambda comm: train(config, comm))
    with closing(sqlite3.connect("x.db")) as base:
        rows = base.execute("SELECT run, step, value FROM log WHERE name = 'test/mrr'").fetchall()
        steps = base.execute("SELECT count(*) FROM log WHERE name = 'loss/mean'").fetchall()
    assert rows == [(str(config.run), summary["best_round"], summary["test"]["mrr"])]
    assert steps == [(ROUNDS,)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"encoder": "sgae"}},
            "'sgae'; valid: sage, gcn, gat, mlp, .*or an import path .*; did you mean 'sage'",
        ),
        ({"task": {"name": "link"}}, "unknown task 'link'; valid: links, nodes.*'links'"),
        ({"sampler": {"name": "neighbor"}}, "unknown sampler 'neighbor'.*mean 'neighbour'"),
        ({"aggregate": {"name": "mean"}}, "unknown aggregator 'mean'; valid: average"),
        ({"task": {"decoder": "mpl"}}, "unknown decoder 'mpl'.*did you mean 'mlp'"),
        ({"model": {"encoder": "my_loss:FocalLinks"}}, "is not an encoder: .*torch.nn.Module"),
        ({"task": {"name": "my_encoder:MyEncoder"}}, "is not a task: it has no `make_head`"),
        ({"model": {"encoder": "my_encoder:MyEncodre"}}, "has no 'MyEncodre'.*'MyEncoder'"),
        ({"model": {"encoder": "gone:X"}}, "cannot be imported: ModuleNotFoundError: No module"),
        ({"model": {"encoder": "broken:X"}}, "cannot be imported: ZeroDivisionError: division"),
        (
            {
                "model": {"encoder": "my_encoder:MyEncoder", "options": {"agr": "max"}},
                "first_hop": False,
            },
            "takes no option 'agr'; valid: .*aggr.*did you mean 'aggr'",
        ),
        ({"model": {"options": {"heads": 2}}}, "the encoder 'sage' takes no option 'heads'"),
        (
            {"model": {"encoder": "my_encoder:MyEncoder"}},
            "first layer reads a mean .*first_hop=false",
        ),
        ({"aggregate": {"outer": "nestrov"}}, r"unknown outer optimizer 'nestrov'.*'nesterov'"),
    ],
)
def test_bad_names_are_one_message_and_nothing_is_made(
    changes, message, folder, community_store, hvdtma
):
    (folder / "broken.py").write_text("1 / 0\n")
    before = sorted(path.name for path in folder.iterdir())
    path = config_file(folder, community_store, **changes)
    status, _, said = hvdtma("train", path)
    assert status == 2
    assert re.search(message, said.replace("\n", " ")), said
    assert "Traceback" not in said
    kept = {path.name for path in folder.iterdir()} - {"__pycache__", "c.yaml"}
    assert kept == set(before) - {"__pycache__"}


def test_a_name_stands_for_one_thing_and_the_main_script_is_not_importable(folder, monkeypatch):
    import my_encoder

    monkeypatch.setattr(registry, "_targets", {k: dict(v) for k, v in registry._targets.items()})
    registry.register("encoder", "mine", my_encoder.MyEncoder)
    registry.register("encoder", "mine", "my_encoder:MyEncoder")  # the same
    assert registry.portable_name("encoder", "mine") == "my_encoder:MyEncoder"
    assert registry.portable_name("encoder", "sage") == "sage"
    with pytest.raises(UserError, match="'mine' is registered twice: as my_encoder:MyEncoder"):
        registry.register("encoder", "mine", "hvdtma.models.encoders:SAGE")
    with pytest.raises(UserError, match="'sage' is registered twice"):
        registry.register("encoder", "sage", my_encoder.MyEncoder)

    @registry.register("encoder", "inside")
    class Inside(my_encoder.MyEncoder):
        pass

    with pytest.raises(UserError, match="cannot import it; move it to a module of its own"):
        registry.portable_name("encoder", "inside")
    monkeypatch.setattr("__main__.Main", my_encoder.MyEncoder, raising=False)
    with pytest.raises(UserError, match="cannot import it; move it to a module of its own"):
        registry.portable_name("encoder", "__main__:Main")
    with pytest.raises(UserError, match="'five' is 5; register a class"):
        registry.register("encoder", "five", 5)
    with pytest.raises(UserError, match=r"unknown kind 'encodre'.*did you mean 'encoder'"):
        registry.register("encodre", "x", my_encoder.MyEncoder)
