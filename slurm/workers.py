"""Processes that train, started one by one: by srun on the nodes of an allocation, or here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Protocol

from hvdtma.comm.slurm_task import node_names, own_address, slurm
from hvdtma.core.errors import UserError

SURE_AFTER_S = 4.0  # one ping may be missed
OUT_OF_SERVICE = ("down", "fail", "error", "unknown", "power", "boot", "reboot")


@dataclass(frozen=True, order=True)
class Slot:
    """Where one trainer may run: the `local`th of its node."""

    node: str
    local: int

    def __str__(self) -> str:
        return f"{self.node}:{self.local}"


class Workers(Protocol):
    """Where trainers may run, and how one is started there."""

    address: str
    """That they reach the driver by."""

    def slots(self) -> list[Slot]:
        """All places for trainers."""
        ...

    def out_of_service(self) -> set[str]:
        """Nodes that cannot be used at the moment."""
        ...

    def start(self, slot: Slot, command: list[str], variables: dict[str, str]) -> subprocess.Popen:
        """Start a trainer's command at a slot."""
        ...


class LocalWorkers:
    """So many trainers on this machine, each as if on a node of its own."""

    address = "127.0.0.1"

    def __init__(self, number: int):
        self.number = number

    def slots(self) -> list[Slot]:
        return [Slot("localhost", local) for local in range(self.number)]

    def out_of_service(self) -> set[str]:
        return set()

    def start(self, slot: Slot, command: list[str], variables: dict[str, str]) -> subprocess.Popen:
        return subprocess.Popen(command, env=os.environ | variables)


class SrunWorkers:
    """The tasks of this job's allocation; each trainer is a job step of its own.

    Args:
        per_node: tasks of each node, as Slurm writes it (`2(x3),1`); None: as it says here.
    """

    def __init__(self, per_node: str | None = None) -> None:
        self.job, nodes = os.environ["SLURM_JOB_ID"], os.environ["SLURM_JOB_NODELIST"]
        self.all_nodes = node_names(nodes)
        self.per_node = tasks_per_node(per_node or os.environ["SLURM_TASKS_PER_NODE"])
        if len(self.per_node) != len(self.all_nodes):
            raise UserError(
                f"--tasks-per-node {per_node} is of {len(self.per_node)} nodes, the job has "
                f"{len(self.all_nodes)}; write it as Slurm does: 2(x3),1"
            )
        self.address = own_address(nodes)
        self.bad_since: dict[str, float] = {}  # nodes that were found bad when last looked at

    def slots(self) -> list[Slot]:
        nodes = zip(self.all_nodes, self.per_node, strict=True)
        return [Slot(node, local) for node, tasks in nodes for local in range(tasks)]

    def out_of_service(self) -> set[str]:
        """Nodes found bad for `SURE_AFTER_S`, or that Slurm took out of the job for good."""
        nodes = ",".join(self.all_nodes)
        listed = slurm("sinfo", "--noheader", "--Node", f"--nodes={nodes}", "--format=%N %T")
        states = dict(line.split(maxsplit=1) for line in listed.splitlines())
        bad = {n for n, s in states.items() if s.endswith("*") or s.startswith(OUT_OF_SERVICE)}
        now = time.monotonic()
        self.bad_since = {node: self.bad_since.get(node, now) for node in bad}
        out = {n for n, since in self.bad_since.items() if now - since >= SURE_AFTER_S}
        left = slurm("squeue", "--noheader", f"--jobs={self.job}", "--format=%N").strip()
        return out | (set(self.all_nodes) - set(node_names(left)))

    def start(self, slot: Slot, command: list[str], variables: dict[str, str]) -> subprocess.Popen:
        srun = ["srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={slot.node}"]
        srun += ["--quiet", "--unbuffered", f"--job-name=trainer-{slot}"]
        return subprocess.Popen([*srun, *command], env=os.environ | variables)


def end(process: subprocess.Popen) -> None:
    """Kill a trainer; of srun, SIGTERM kills its step, and SIGKILL would leave that running."""
    arguments = process.args
    srun = isinstance(arguments, list) and arguments[0] == "srun"
    process.terminate() if srun else process.kill()


def tasks_per_node(words: str) -> list[int]:
    """Tasks of each node from Slurm's `4(x2),3`."""
    counts = []
    for number, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", words):
        counts += [int(number)] * int(times or 1)
    return counts


def trainer_command(arguments: list[str]) -> list[str]:
    """JobTarget a trainer runs: `hvdtma train`, with arguments."""
    return [sys.executable, "-m", "hvdtma", "train", *arguments]
