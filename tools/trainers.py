"""Find the trainers of a run among processes, by the rank that their launcher set.

`python tools/trainers.py JOB` lists those of a Slurm job on this machine, a line of JSON each.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

# Variables that a launcher sets for each trainer, most specific first. Slurm sets SLURM_PROCID for
# every task, so it counts only for `hvdtma train`, started directly or by submitit.
RANKS = ("HVDTMA_NAME", "HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "RANK", "SLURM_PROCID")
INIT = 1


@dataclass(frozen=True)
class TrainerProcess:
    """A trainer process, as a node sees it.

    `node` is Slurm's name of that node, or the host's name outside of Slurm. `own_node` is the node
    in the environment of the process. They differ where ssh started the process, and where several
    nodes share a machine.
    """

    host: str
    pid: int
    rank: str
    node: str
    own_node: str

    def __str__(self) -> str:
        return f"trainer {self.rank} on {self.node} (process {self.pid})"


def of_tree(pid: int) -> list[TrainerProcess]:
    """Trainers on this machine that a launcher started."""
    return trainers_among(psutil.Process(pid).children(recursive=True))


def of_job(job: str) -> list[TrainerProcess]:
    """Trainers on this machine of a Slurm job."""
    return trainers_among(
        process for process in psutil.process_iter() if _environ(process).get("SLURM_JOB_ID") == job
    )


def trainers_among(processes: Iterable[psutil.Process]) -> list[TrainerProcess]:
    """Trainers: Python processes with a rank that no trainer started."""
    ranked = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if "python" in Path(process.exe()).name and (found := _rank(process)):
                ranked[process.pid] = (process, *found)
    level = min((RANKS.index(variable) for _, variable, _ in ranked.values()), default=None)
    host, trainers = socket.gethostname(), []
    node = os.environ.get("SLURMD_NODENAME", host)
    for process, variable, rank in ranked.values():
        with contextlib.suppress(psutil.Error):
            # An evaluator: a trainer started it, or a trainer that is gone did.
            helper = process.ppid() == INIT or process.ppid() in ranked
            if RANKS.index(variable) == level and not helper:
                own_node = _environ(process).get("SLURMD_NODENAME", node)
                trainers.append(TrainerProcess(host, process.pid, rank, node, own_node))
    return sorted(trainers, key=lambda trainer: (trainer.rank, trainer.pid))


def _rank(process: psutil.Process) -> tuple[str, str] | None:
    """Variable and value of a process's rank."""
    env, words = _environ(process), process.cmdline()
    if "HVDTMA_DRIVER" in env and "HVDTMA_NAME" not in env:
        return None  # the driver of an elastic job is a task of a step, too
    for variable in RANKS:
        if variable in env and (variable != "SLURM_PROCID" or _is_trained_step(env, words)):
            return variable, env[variable]
    return None


def _is_trained_step(env: dict[str, str], words: list[str]) -> bool:
    """Whether this is `hvdtma train` as a task of a step; a batch script belongs to no step."""
    names = [Path(word).name for word in words[1:] if not word.startswith("-")]
    trains = names[:2] == ["hvdtma", "train"] or names[:1] == ["submitit.core._submit"]
    return "SLURM_STEP_ID" in env and trains


def _environ(process: psutil.Process) -> dict[str, str]:
    """Environment of a process; empty if it is gone, or another user's."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


if __name__ == "__main__":
    for trainer in of_job(sys.argv[1]):
        print(json.dumps(asdict(trainer)))
