"""A small part of all faults is survived; `python tests/faults --all` tries many more."""

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent


@pytest.mark.timeout(900)  # on a busy machine
def test_a_few_faults_of_each_kind_are_survived(tmp_path):
    command = [sys.executable, FAULTS, "--seed", "0", "--jobs", "2", "--work", tmp_path / "work"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert len(rows) > 10
    assert all(0 < int(tried) == int(survived) for _, tried, survived in rows)
