"""The processes of a cluster: found by their directories, not only by their names."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil

DAEMONS = {"munged", "slurmctld", "slurmscriptd", "slurmd", "slurmstepd"}


def of_cluster(directory: Path, node: str | None = None) -> list[psutil.Process]:
    """The daemons of a cluster and its jobs' processes; of one node, or of all."""
    daemons = _running(lambda process: _is_daemon(process, directory, node))
    return daemons + of_jobs(directory, node)


def of_jobs(directory: Path, node: str | None = None) -> list[psutil.Process]:
    """Processes of jobs, also those that left the job's process tree, where Slurm loses them.

    Slurm sets SLURMD_NODENAME for them; the shell of the cluster's user does not have it.
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
    """Send SIGKILL until no process is left: a process may start another one meanwhile."""
    deadline = time.monotonic() + timeout_s
    while left := find():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after {timeout_s} s: {left}")
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)


def words(found: list[psutil.Process]) -> set[str]:
    """All words of the command lines of processes that still run."""
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
    if node is not None:  # only the log file tells the nodes' daemons apart
        log = str(directory / "log" / f"{node}.log")
        return any(file.path == log for file in process.open_files())
    # A slurmstepd has overwritten its command line, but works where slurmd logs; munged works in /.
    named = [process.cwd(), *(word.split("=")[-1] for word in process.cmdline())]
    return any(Path(path).is_relative_to(directory) for path in named)
