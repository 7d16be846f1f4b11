"""Trainer processes of an elastic run: job steps on the nodes of an allocation, or local ones."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from hvdtma.comm.slurm_task import node_names, own_address, slurm
from hvdtma.core.errors import UserError
from slurm.environment import step_environment

OUT_AFTER_S = 4.0  # a node that misses one ping of Slurm's is not out of service
BAD_STATES = ("down", "fail", "error", "unknown", "power", "boot", "reboot")
STDERR = 2
TAIL_BYTES = 8192
DRAIN_TIMEOUT_S = 5.0  # for the last output of an srun that has ended
SRUN_ERROR = re.compile(r"^srun: (?:error|fatal): (.+)$", re.MULTILINE)
REFUSALS = ("Unable to create step", "Task launch for", "Application launch failed")


@dataclass(frozen=True, order=True)
class Slot:
    """A place for one trainer: its node, and its number there."""

    node: str
    local: int

    def __str__(self) -> str:
        return f"{self.node}:{self.local}"


class WorkerProcess:
    """A trainer process on this machine."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    @property
    def refusal(self) -> str:
        """Slurm's reason if it refused to start the trainer; empty if the trainer has run."""
        return ""

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    def shut_down(self) -> None:
        """Ask the trainer to save and end."""
        self._process.send_signal(signal.SIGUSR2)

    def kill(self) -> None:
        """End the trainer at once."""
        self._process.kill()


class SrunStep(WorkerProcess):
    """A trainer that srun runs as a job step. Its stderr goes to this process's stderr."""

    def __init__(self, process: subprocess.Popen):
        super().__init__(process)
        self._tail = b""
        self._reader = threading.Thread(target=self._forward_stderr, daemon=True)
        self._reader.start()

    @property
    def refusal(self) -> str:
        """The error messages of srun, if they say that Slurm did not start the task."""
        self._reader.join(DRAIN_TIMEOUT_S)
        errors = SRUN_ERROR.findall(self._tail.decode(errors="replace"))
        refused = any(error.startswith(REFUSALS) for error in errors)
        return "; ".join(dict.fromkeys(errors)) if refused and self.poll() else ""

    def kill(self) -> None:
        """End the step. SIGTERM makes srun kill it; SIGKILL would leave it running."""
        self._process.terminate()

    def _forward_stderr(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as source:
            while piece := os.read(source.fileno(), 65536):
                self._tail = (self._tail + piece)[-TAIL_BYTES:]
                with suppress(OSError):  # a closed terminal must not stop the trainer
                    os.write(STDERR, piece)


class Workers(Protocol):
    """The slots of a job, and how a trainer is started at one."""

    address: str
    """The address by which trainers reach the driver."""

    def slots(self) -> list[Slot]:
        """All slots."""
        ...

    def out_of_service(self) -> set[str]:
        """Nodes that cannot be used now."""
        ...

    def start(self, slot: Slot, command: list[str], variables: dict[str, str]) -> WorkerProcess:
        """Start a command at a slot, with further environment variables."""
        ...


class LocalWorkers:
    """Trainers on this machine."""

    address = "127.0.0.1"

    def __init__(self, number: int):
        self.number = number

    def slots(self) -> list[Slot]:
        return [Slot("localhost", local) for local in range(self.number)]

    def out_of_service(self) -> set[str]:
        return set()

    def start(self, slot: Slot, command: list[str], variables: dict[str, str]) -> WorkerProcess:
        return WorkerProcess(subprocess.Popen(command, env=os.environ | variables))


class SrunWorkers:
    """Trainers in the allocation of this job, each of them a job step of its own.

    Args:
        tasks_per_node: tasks of each node, as Slurm writes it (`2(x3),1`); None: the job's own.
    """

    def __init__(self, tasks_per_node: str | None = None) -> None:
        self.job, nodes = os.environ["SLURM_JOB_ID"], os.environ["SLURM_JOB_NODELIST"]
        self.nodes = node_names(nodes)
        self.tasks = parse_tasks_per_node(tasks_per_node or os.environ["SLURM_TASKS_PER_NODE"])
        if len(self.tasks) != len(self.nodes):
            raise UserError(
                f"--tasks-per-node {tasks_per_node} is for {len(self.tasks)} nodes, but the job "
                f"has {len(self.nodes)}; write it as Slurm does: 2(x3),1"
            )
        self.address = own_address(nodes)
        self._bad_since: dict[str, float] = {}  # nodes in a bad state at the last check

    def slots(self) -> list[Slot]:
        nodes = zip(self.nodes, self.tasks, strict=True)
        return [Slot(node, local) for node, tasks in nodes for local in range(tasks)]

    def out_of_service(self) -> set[str]:
        """Nodes in a bad state for `OUT_AFTER_S`, and nodes that Slurm took out of the job."""
        listed = slurm(
            *("sinfo", "--noheader", "--Node"),
            *(f"--nodes={','.join(self.nodes)}", "--format=%N %T"),
        )
        states = dict(line.split(maxsplit=1) for line in listed.splitlines())
        bad = {n for n, s in states.items() if s.endswith("*") or s.startswith(BAD_STATES)}
        now = time.monotonic()
        self._bad_since = {node: self._bad_since.get(node, now) for node in bad}
        out = {node for node, since in self._bad_since.items() if now - since >= OUT_AFTER_S}
        kept = slurm("squeue", "--noheader", f"--jobs={self.job}", "--format=%N").strip()
        return out | (set(self.nodes) - set(node_names(kept)))

    def start(self, slot: Slot, command: list[str], variables: dict[str, str]) -> WorkerProcess:
        srun = ["srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={slot.node}"]
        srun += ["--quiet", "--unbuffered", f"--job-name=trainer-{slot}"]
        environment = step_environment() | variables
        return SrunStep(
            subprocess.Popen([*srun, *command], env=environment, stderr=subprocess.PIPE)
        )


def parse_tasks_per_node(text: str) -> list[int]:
    """Tasks of each node from Slurm's `4(x2),3`."""
    counts = []
    for number, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(number)] * int(times or 1)
    return counts


def trainer_command(arguments: list[str]) -> list[str]:
    """The command of a trainer: `hvdtma train` with arguments."""
    return [sys.executable, "-m", "hvdtma", "train", *arguments]
