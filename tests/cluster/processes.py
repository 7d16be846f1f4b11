"""The processes of a cluster: found by what they are and where they work, never by a bare name."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

DAEMONS = {"munged", "slurmctld", "slurmscriptd", "slurmd", "slurmstepd"}


def of_cluster(directory: Path, node: str | None = None) -> list[psutil.Process]:
    """The daemons that work in `directory` and what their jobs run; all, or those of one node."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _is_daemon(process, directory, node) or _is_of_job(process, directory, node):
                found[process.pid] = process
    for step in [each for each in found.values() if _name(each) == "slurmstepd"]:
        found.update((child.pid, child) for child in _running_children(step))
    return list(found.values())


def kill(directory: Path, node: str | None = None, timeout_s: float = 10) -> None:
    """SIGKILL until nothing of it is left: a daemon may be starting another while it is killed."""
    deadline = time.monotonic() + timeout_s
    while left := of_cluster(directory, node):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after {timeout_s} s: {left}")
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)


def _is_daemon(process: psutil.Process, directory: Path, node: str | None) -> bool:
    if process.name() not in DAEMONS:
        return False
    if node is not None:  # a node's daemons, unlike their working directory, have its log open
        log = str(directory / "log" / f"{node}.log")
        return any(file.path == log for file in process.open_files())
    # A slurmstepd has overwritten its command line, but works where slurmd logs; munged works in /.
    return _within(process.cwd(), directory) or any(
        _within(word.split("=")[-1], directory) for word in process.cmdline()
    )


def _is_of_job(process: psutil.Process, directory: Path, node: str | None) -> bool:
    """Of a job, unlike the shell of a user of this cluster: Slurm has named a node to it."""
    env = process.environ()
    return (
        env.get("SLURM_CONF") == str(directory / "slurm.conf")
        and "SLURMD_NODENAME" in env
        and node in (None, env["SLURMD_NODENAME"])
    )


def _running_children(process: psutil.Process) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE:
                    yield child


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _within(path: str, directory: Path) -> bool:
    return Path(path).is_relative_to(directory)
