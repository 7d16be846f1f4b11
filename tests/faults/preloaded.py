"""Commands in forks of this process, which has imported everything and has one thread.

A command costs no start-up then, so that it can be tried hundreds of times. As root, this process
gives itself a file system in which it can write to a few folders only: a command that is given `/`
or `/dev/null` for its output harms nobody.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import pkgutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.002
CLONE_NEWNS = 0x20000  # of Linux, <sched.h> and <sys/mount.h>
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
KEPT_MOUNTS = ("/proc", "/sys", "/dev/shm")
LIBRARIES = (
    "torch",
    "hvdtma.core.dgl_import",
    "duckdb",
    "pyarrow.parquet",
    "sklearn.decomposition",
    "zarr",
)

Entry = Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        status: its exit status, -N if signal N killed it; None if it had to be ended at the limit.
    """

    status: int | None
    out: str
    err: str
    seconds: float


def preload() -> None:
    """Import every module of the packages and what they need, without starting a thread."""
    import hvdtma
    import hypergraph
    import slurm

    for name in LIBRARIES:
        importlib.import_module(name)
    for package in (hvdtma, hypergraph, slurm):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    if threading.active_count() > 1:
        raise RuntimeError("an import has started a thread: forks of this process might hang")


def write_only_to(*folders: Path) -> None:
    """As root: mount everything else read-only, for this process and its children."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str, target: str, flags: int) -> bool:
        names = source.encode(), target.encode()
        return libc.mount(names[0], names[1], None, ctypes.c_ulong(flags), None) == 0

    if libc.unshare(CLONE_NEWNS) or not mount("none", "/", MS_REC | MS_PRIVATE):
        raise OSError(ctypes.get_errno(), "no mounts of its own")
    for folder in folders:
        mount(str(folder), str(folder), MS_BIND)
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kept = {str(folder) for folder in folders}
    for target in mounted:
        if target not in kept and not target.startswith(KEPT_MOUNTS):
            mount("none", target, MS_BIND | MS_REMOUNT | MS_RDONLY)


def hvdtma(*words: object) -> Entry:
    """The command `hvdtma WORDS`."""

    def run() -> None:
        from hvdtma.cli import main

        sys.argv = ["hvdtma", *map(str, words)]
        main()

    return run


def hypergraph(*words: object) -> Entry:
    """The command `python -m hypergraph WORDS`."""

    def run() -> None:
        from hypergraph.cli import app

        sys.argv = ["hypergraph", *map(str, words)]
        called(app)()

    return run


def called(function: Callable[[], object]) -> Entry:
    """A function of the Python API; its errors are reported as a command's."""

    def run() -> None:
        from hvdtma.core.command_line import run_app

        run_app(function)

    return run


def run(
    entry: Entry,
    folder: Path,
    *,
    signals: Sequence[tuple[float, int]] = (),
    before: Callable[[], object] = lambda: None,
    limit_s: float = 60.0,
) -> Ended:
    """Run a command in a folder and wait for its end.

    Args:
        signals: signals to send, each with the seconds after the start, in order.
        before: called in the new process, such as to limit its memory.
        limit_s: it is killed after this time, with all that it started.
    """
    with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
        start = time.monotonic()
        pid = os.fork()
        if not pid:
            _become(entry, folder, before, out.fileno(), err.fileno(), limit_s)
        left = list(signals)
        status = None
        while status is None and (now := time.monotonic() - start) < limit_s:
            if left and now >= left[0][0]:
                os.kill(pid, left.pop(0)[1])
            status = _ended(pid)
            time.sleep(POLL_S)
        seconds = time.monotonic() - start
        with suppress(ProcessLookupError):  # and what it has started
            os.killpg(pid, signal.SIGKILL)
        if status is None:
            os.waitpid(pid, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Ended(status, *texts, seconds)


def _ended(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _become(entry: Entry, folder: Path, before: Entry, out: int, err: int, limit_s: float) -> None:
    """Be the command, in the child; does not return."""
    status: Any = 1
    try:
        os.setsid()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        faulthandler.dump_traceback_later(max(limit_s - 1, 1), file=2)  # where it hangs
        before()
        entry()
        status = 0
    except SystemExit as stopped:
        status = stopped.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # even without memory: this process must not go on as the one that forked it
            os._exit(status if isinstance(status, int) else int(status is not None))
