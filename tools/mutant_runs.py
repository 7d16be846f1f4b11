"""Run tests against changed copies of the project, each in a process forked from one that is warm.

The change is written to a copy of the tree on the disk, so that processes which tests start see it
too, and Numba compiles it. Each mutant gets a time of modification of its own and its own folder of
compiled code: neither Python nor Numba takes what was compiled from another text.
"""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Imported once; the project's own modules are imported in each forked process.
WARM = (
    *("numpy", "scipy.sparse", "torch", "torch.distributed", "numba", "zarr", "duckdb", "pyarrow"),
    *("pyarrow.parquet", "pydantic", "omegaconf", "typer", "rich.console", "pytest", "hypothesis"),
    *("sklearn.metrics", "safetensors.torch", "psutil", "dgl", "pandas", "jinja2"),
)
SPARE_CPU_S, SPARE_WALL_S = 20, 120  # beyond a multiple of the time that the unchanged file takes
CPU_FACTOR, WALL_FACTOR = 4, 8  # wall time is for deadlocks only: it depends on other work
DATA_BYTES = 6 << 30  # a changed size must not take the machine's memory


@dataclass(frozen=True)
class Outcome:
    """How tests ended: `passed`, `failed` or `timeout`, with the end of their output."""

    result: str
    cpu_s: float
    wall_s: float
    tail: str


class Copy:
    """A copy of the project's tree in which single files are changed."""

    def __init__(self, root: Path, folder: Path):
        self.root, self.tree = root, folder / "tree"
        self.compiled, self.scratch = folder / "compiled", folder / "scratch"
        asked = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        names = subprocess.run(asked, cwd=root, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (root / name).exists():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self.tree / name, follow_symlinks=False)
        self.compiled.mkdir()
        self.clock = int(time.time()) - 10**8  # no file of the tree was modified then

    def warm_up(self) -> None:
        """Import the libraries, and make this process's children import from the copy."""
        os.environ |= {"PYTHONPATH": str(self.tree), "OMP_NUM_THREADS": "1"}
        sys.path.insert(0, str(self.tree))
        for name in WARM:
            importlib.import_module(name)
        from hypothesis import settings

        # The same examples for every mutant: a test that finds a change by luck would prove little.
        settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
        settings.load_profile("mutants")
        os.chdir(self.tree)

    def unchanged(self, tests: Sequence[str]) -> Outcome:
        """Run tests on the tree as it is, and keep the compiled code for the mutants."""
        return self._run(tests, self.compiled, None)

    def changed(self, name: str, source: str, tests: Sequence[str], base: Outcome) -> Outcome:
        """Run tests on the tree with another text of one file."""
        path, own = self.tree / name, self.scratch / "compiled"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        shutil.copytree(self.compiled, own, copy_function=os.link)  # Numba replaces, never edits
        path.write_text(source)
        self.clock += 10  # seconds: all that a .pyc file records
        os.utime(path, (self.clock, self.clock))
        try:
            return self._run(tests, own, base)
        finally:
            shutil.copy2(self.root / name, path)

    def _run(self, tests: Sequence[str], compiled: Path, base: Outcome | None) -> Outcome:
        self.scratch.mkdir(exist_ok=True)
        log = self.scratch / "log.txt"
        sys.stdout.flush()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            limit = int(SPARE_CPU_S + CPU_FACTOR * base.cpu_s) if base else 0
            _run_tests(tests, compiled, self.scratch / "temporary", log, limit)
        wall_limit = SPARE_WALL_S + WALL_FACTOR * base.wall_s if base else 3600
        status, used = _wait(child, began + wall_limit)
        _end_group(child)
        late = status is None or os.waitstatus_to_exitcode(status) == -signal.SIGXCPU
        result = "timeout" if late else "passed" if status == 0 else "failed"
        tail = log.read_text(errors="replace")[-3000:]
        return Outcome(result, used, time.monotonic() - began, tail)


def _run_tests(
    tests: Sequence[str], compiled: Path, temporary: Path, log: Path, cpu_limit: int
) -> None:
    """Be the child: run the tests and exit with pytest's status, whatever happens."""
    status = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if cpu_limit:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, cpu_limit))
            resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        import numba
        import pytest

        os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = str(compiled)
        words = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:randomly"]
        words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is there already
        status = int(pytest.main([*words, f"--basetemp={temporary}", *tests]))
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(child: int, until: float) -> tuple[int | None, float]:
    """The status of a child, None if it did not end in time, and the CPU seconds that it used."""
    while time.monotonic() < until:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return status, used.ru_utime + used.ru_stime
        time.sleep(0.05)
    _end_group(child)
    _, _, used = os.wait4(child, 0)
    return None, used.ru_utime + used.ru_stime


def _end_group(child: int) -> None:
    """End what the tests of a child left running: it leads a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
