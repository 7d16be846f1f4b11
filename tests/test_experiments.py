"""Every command of docs/experiments.md works as it stands there, in order."""

import json
import re
import shlex
from pathlib import Path

import pytest
from yaml import safe_dump

from hvdtma.core.errors import UserError
from hvdtma.training.launch import train_here

TEXT = (Path(__file__).parent.parent / "docs/experiments.md").read_text()
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    hvdtma ")]


def here(processes, trial, config):
    """Trains a trial in this process, which is quicker; processes have tests of their own."""
    try:
        train_here(config, or_resume=True)
    except UserError as error:
        return trial.failed(str(error))
    return trial.with_result()


@pytest.fixture
def folder(tmp_path, monkeypatch, community_store):
    values = {"store": str(community_store.path), "run": "runs/first", "rounds": 2}
    values |= {"interval_steps": 3, "model": {"hidden": 8}, "evaluate": {"mode": "inline"}}
    (tmp_path / "c.yaml").write_text(safe_dump(values))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hvdtma.sweeps.process.TrialProcesses.run", here)
    return tmp_path


def test_the_commands_run_in_order(folder, hvdtma, monkeypatch):
    assert len(COMMANDS) == 6
    said = {}
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        if "--cluster" in words:
            monkeypatch.setenv("PATH", str(folder))
        if "--profile" in words:
            words.append("rounds=10")
        status, out, err = hvdtma(*words)
        said[words[0]] = out
        if "--cluster" in words:
            assert (status, "No Slurm here" in err) == (2, True), err
        else:
            assert status == 0, f"{command}: {err}"
    assert re.search(r"model\.hidden=16 +0, 1 ", said["compare"])
    assert (folder / "runs/compare.html").is_file()
    assert (folder / "runs/logged/log.csv").is_file()
    assert len(list((folder / "runs/search/trials").glob("*/summary.json"))) == 3
    trace = json.loads((folder / "runs/profiled/profile.json").read_text())
    assert sum(event.get("name") == "backward" for event in trace["traceEvents"]) == 20
