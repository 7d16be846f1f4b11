"""Find the trainers of a run among processes: by the rank that their launcher gave them.

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

# What a launcher sets for each trainer, the most telling first. Slurm sets its own for every task,
# whatever the task is: it counts only for `hvdtma train` itself, also as submitit starts it.
RANKS = ("HVDTMA_NAME", "HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
INIT = 1


@dataclass(frozen=True)
class Trainer:
    """A process that trains, as seen from a node.

    `node` is Slurm's name of the node, or the host's where there is none; `node_told` is what the
    process was told, which differs where ssh started it and where nodes share a machine.
    """

    host: str
    pid: int
    rank: str
    node: str
    node_told: str

    def __str__(self) -> str:
        return f"trainer {self.rank} on {self.node} (process {self.pid})"


def of_tree(pid: int) -> list[Trainer]:
    """Trainers on this machine below the process of a launcher."""
    return trainers_among(psutil.Process(pid).children(recursive=True))


def of_job(job: str) -> list[Trainer]:
    """Trainers on this machine of a Slurm job."""
    return trainers_among(
        process for process in psutil.process_iter() if _environ(process).get("SLURM_JOB_ID") == job
    )


def trainers_among(processes: Iterable[psutil.Process]) -> list[Trainer]:
    """Those that train: Python with a rank, and not what a trainer itself has started."""
    ranked = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if "python" in Path(process.exe()).name and (found := _rank(process)):
                ranked[process.pid] = (process, *found)
    # With an elastic job's driver among the tasks of a step, only the trainers have a name.
    counts = min((RANKS.index(variable) for _, variable, _ in ranked.values()), default=None)
    host, trainers = socket.gethostname(), []
    node = os.environ.get("SLURMD_NODENAME", host)
    for process, variable, rank in ranked.values():
        with contextlib.suppress(psutil.Error):
            # Left by a trainer that is gone (its evaluator, which will end) or started by one.
            helper = process.ppid() == INIT or process.ppid() in ranked
            if RANKS.index(variable) == counts and not helper:
                told = _environ(process).get("SLURMD_NODENAME", node)
                trainers.append(Trainer(host, process.pid, rank, node, told))
    return sorted(trainers, key=lambda trainer: (trainer.rank, trainer.pid))


def _rank(process: psutil.Process) -> tuple[str, str] | None:
    """(variable, value) of a process's rank."""
    env, words = _environ(process), process.cmdline()
    for variable in RANKS:
        if variable in env and (variable != "SLURM_PROCID" or _is_trained_step(env, words)):
            return variable, env[variable]
    return None


def _is_trained_step(env: dict[str, str], words: list[str]) -> bool:
    """`hvdtma train` as a task of srun; a batch script has a rank, but is of no step."""
    said = [Path(word).name for word in words[1:] if not word.startswith("-")]
    trains = said[:2] == ["hvdtma", "train"] or said[:1] == ["submitit.core._submit"]
    return "SLURM_STEP_ID" in env and trains


def _environ(process: psutil.Process) -> dict[str, str]:
    """What a process was started with; nothing if that may not be seen, or it is gone."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


if __name__ == "__main__":
    for trainer in of_job(sys.argv[1]):
        print(json.dumps(asdict(trainer)))
