"""The processes of a cluster: found by what they are and where they work, never by a bare name."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil

DAEMONS = {"munged", "slurmctld", "slurmscriptd", "slurmd", "slurmstepd"}


def of_cluster(directory: Path, node: str | None = None) -> list[psutil.Process]:
    """The daemons that work in `directory` and what their jobs run; all, or those of one node."""
    daemons = _running(lambda process: _is_daemon(process, directory, node))
    return daemons + of_jobs(directory, node)


def of_jobs(directory: Path, node: str | None = None) -> list[psutil.Process]:
    """What jobs run, even if it has left its job's process tree, where Slurm does not find it.

    Unlike the shell of the cluster's user, Slurm has named a node to it.
    """

    def is_of_job(process: psutil.Process) -> bool:
        env = process.environ()
        return (
            env.get("SLURM_CONF") == str(directory / "slurm.conf")
            and "SLURMD_NODENAME" in env
            and node in (None, env["SLURMD_NODENAME"])
        )

    return _running(is_of_job)


def kill(find: Callable[[], list[psutil.Process]], timeout_s: float = 10) -> None:
    """SIGKILL until nothing is left: one may be starting another while it is killed."""
    deadline = time.monotonic() + timeout_s
    while left := find():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after {timeout_s} s: {left}")
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)


def words(found: list[psutil.Process]) -> set[str]:
    """All words of their command lines; of those that have ended meanwhile, none."""
    seen: set[str] = set()
    for process in found:
        with contextlib.suppress(psutil.Error):
            seen.update(process.cmdline())
    return seen


def _running(matches: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and matches(process):
                found.append(process)
    return found


def _is_daemon(process: psutil.Process, directory: Path, node: str | None) -> bool:
    if process.name() not in DAEMONS:
        return False
    if node is not None:  # of a node's daemons only the log tells whose they are
        log = str(directory / "log" / f"{node}.log")
        return any(file.path == log for file in process.open_files())
    # A slurmstepd has overwritten its command line, but works where slurmd logs; munged works in /.
    named = [process.cwd(), *(word.split("=")[-1] for word in process.cmdline())]
    return any(Path(path).is_relative_to(directory) for path in named)
