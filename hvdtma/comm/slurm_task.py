"""Slurm's environment variables of a task, and its commands about nodes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from hvdtma.comm.network import interface_towards
from hvdtma.core.errors import UserError
from hvdtma.core.signals import SHUTDOWN_SIGNALS, blocked_signals

LOOPBACK, LOCALHOST = "127.0.0.1", "localhost"
FIRST_SPECIAL_STEP = 0xFFFFFFF0  # numbers of batch scripts and interactive shells


@dataclass(frozen=True)
class SlurmTask:
    """One task of a job step, or of submitit's local executor.

    Attributes:
        rank, size: the task's number among the tasks of the step, and their number.
        node: Slurm's name of the node. Several nodes may share a machine's hostname.
        nodes: of the step, as Slurm writes a list (`n[1-4]`).
        key: unique to this attempt at this step.
    """

    rank: int
    size: int
    node: str
    nodes: str
    key: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> SlurmTask | None:
        """The task of this process; None if neither srun nor submitit started it."""
        if "SUBMITIT_LOCAL_GLOBALID" in environ:
            return cls(
                rank=int(environ["SUBMITIT_LOCAL_GLOBALID"]),
                size=int(environ["SUBMITIT_LOCAL_NTASKS"]),
                node=LOCALHOST,
                nodes=LOCALHOST,
                key=f"local-{environ['SUBMITIT_LOCAL_JOB_ID']}",
            )
        if not is_in_step(environ) or "SLURM_PROCID" not in environ:
            return None
        job, step = environ["SLURM_JOB_ID"], environ["SLURM_STEP_ID"]
        return cls(
            rank=int(environ["SLURM_PROCID"]),
            size=int(environ.get("SLURM_STEP_NUM_TASKS") or environ["SLURM_NTASKS"]),
            node=environ["SLURMD_NODENAME"],
            nodes=environ.get("SLURM_STEP_NODELIST") or environ["SLURM_JOB_NODELIST"],
            key=f"{job}.{step}.{environ.get('SLURM_RESTART_COUNT', '0')}",
        )


def is_in_step(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether srun started this process, and not the batch script or an interactive shell."""
    step = environ.get("SLURM_STEP_ID", "")
    return step.isdigit() and int(step) < FIRST_SPECIAL_STEP


def tasks_without_srun(environ: Mapping[str, str] = os.environ) -> int:
    """The tasks of this Slurm job if srun did not start this process; else 0."""
    if "SLURM_JOB_ID" not in environ or is_in_step(environ):
        return 0
    nodes = _number(environ, "SLURM_JOB_NUM_NODES") or _number(environ, "SLURM_NNODES") or 1
    per_node = _number(environ, "SLURM_NTASKS_PER_NODE")
    return max(_number(environ, "SLURM_NTASKS"), nodes * max(per_node, 1))


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    return int(text) if text.isdigit() else 0


def node_names(nodes: str) -> list[str]:
    """The names of nodes in a list as Slurm writes it (`n[1-3,7]`).

    One name needs no command of Slurm, which a container may lack.

    Raises UserError with Slurm's message if Slurm refuses the list.
    """
    if nodes and is_one_node(nodes):
        return [nodes]
    return slurm("scontrol", "show", "hostnames", nodes).split()


def is_one_node(nodes: str) -> bool:
    """Whether a list as Slurm writes it names one node."""
    return not set(nodes) & set(",[")


def require_node_list(nodes: str) -> None:
    """Raises UserError if nodes cannot be listed here: Slurm's commands are not installed."""
    if not is_one_node(nodes) and shutil.which("scontrol") is None:
        raise not_installed("scontrol")


def not_installed(command: str) -> UserError:
    """The error that a command of Slurm is missing."""
    if "SLURM_JOB_ID" not in os.environ:
        return UserError(f"{command} is not installed: this machine has no Slurm")
    return UserError(
        f"{command} is not installed; trainers on several nodes need it to find one another. In a "
        "container, bind it (docs/cluster_setup.md)"
    )


def node_address(node: str) -> str:
    """The address by which Slurm reaches a node.

    Raises UserError if the node has no address.
    """
    words = slurm("scontrol", "--oneliner", "show", "node", node).split()
    address = next((word[9:] for word in words if word.startswith("NodeAddr=")), node)
    try:
        return socket.gethostbyname(address)
    except OSError as error:
        raise UserError(f"node {node} has no address ({address}): {error}") from error


def own_address(nodes: str) -> str:
    """This machine's address towards the other nodes of a list; loopback for one node."""
    if nodes == LOCALHOST:
        return LOOPBACK
    names = node_names(nodes)
    if len(names) == 1:
        return LOOPBACK
    here = os.environ.get("SLURMD_NODENAME")
    other = next(name for name in names if name != here)
    return interface_towards(node_address(other))[1]


def slurm(*command: str) -> str:
    """The output of a Slurm command.

    Raises UserError with Slurm's message if it fails, or if Slurm is not installed.
    """
    try:
        with blocked_signals(*SHUTDOWN_SIGNALS):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise not_installed(command[0]) from None
    if done.returncode:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise UserError(f"{' '.join(command)}: {said}")
    return done.stdout
