"""hvdtma as a process of its own, its peak memory, killing it; and a disk that is soon full."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# By way of a small process: a new one counts the memory of the one that it was forked from.
_WAIT = """
import os, subprocess, sys
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def command(*arguments):
    return [sys.executable, "-m", "hvdtma", *map(str, arguments)]


def run_script(script: Path, folder: Path) -> subprocess.CompletedProcess:
    """Run a Python script that succeeds, in a folder, with this tree's packages."""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def peak_gib(*arguments) -> float:
    """Peak resident memory of a command that succeeds, in GiB."""
    waiting = [sys.executable, "-c", _WAIT, *command(*arguments)]
    waited = subprocess.run(waiting, capture_output=True, check=True, text=True)
    status, peak_kib = map(int, waited.stdout.split()[-2:])
    assert status == 0, waited.stderr
    return peak_kib / 2**20


def kill_when(found, *arguments) -> None:
    """Start a command and kill it as soon as `found()` is true, which it must become."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not found():
        assert process.poll() is None, "it ended before that"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A new folder that is a disk of this size; skips the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
