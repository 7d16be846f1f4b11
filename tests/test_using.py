"""Every command and every Python block of docs/using.md works as it stands there, in order."""

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from processes import run_script

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/using.md").read_text()
JOINED = TEXT.replace("\\\n", " ")  # commands of several lines
# Launchers are left off; they have tests of their own.
COMMANDS = re.findall(r"^    (?:horovodrun -np \d+ )?(hvdtma .+)$", JOINED, re.MULTILINE)
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
BRIEF = "model.hidden=8 task.batch_size=128 interval_steps=3 rounds=2 evaluate.mode=final"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Purchases of people, and later ones."""
    rng = np.random.default_rng(0)
    people = ["ann", *(f"p{n:02d}" for n in range(60))]
    pairs = {(who, f"item {rng.integers(0, 40)}") for who in people for _ in range(9)}
    rows = [f"{who},{item}" for who, item in sorted(pairs)]
    (tmp_path / "bought.csv").write_text("\n".join(["person,item", *rows]) + "\n")
    later = [*rows, "zoe,item 3", "zoe,item 5", "p03,item 99"]
    (tmp_path / "later.csv").write_text("\n".join(["person,item", *later]) + "\n")
    npm = [f"package {n},{('lodash', 'q', 'debug')[n % 3]},dep" for n in range(90)]
    npm += [f"package {n},package {n * 7 % 90},dev" for n in range(1, 90)]
    (tmp_path / "edges.csv").write_text("\n".join(["src,dst,type", "alone,,dep", *npm]) + "\n")
    (tmp_path / "pairs.csv").write_text("src,dst\nann,item 3\np07,item 9\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_in_order(folder, hvdtma):
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        if words[0] == "train":  # as briefly as can be
            words = [w for w in words if not w.startswith(("time_limit_s", "interval_s"))]
            words = ["train", *BRIEF.split(), *words[1:]]
        status, out, err = hvdtma(*words)
        assert status == 0, (command, err)
        if words[0] == "recommend":
            assert "item " in out or "package " in out or "lodash" in out
    assert pq.read_table("scores.parquet")["src"].to_pylist() == ["ann", "p07"]
    assert {path.name for path in Path("shop-tables").iterdir()} == {
        "edges.parquet",
        "nodes.parquet",
    }


def test_the_python_blocks_run_in_order(tmp_path):
    (tmp_path / "script.py").write_text("\n".join(BLOCKS))
    done = run_script(Path("script.py"), tmp_path)
    assert "start anew" in done.stderr
