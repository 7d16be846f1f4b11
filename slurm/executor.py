"""submitit's executors, told what a job asks for."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import LocalExecutor, SlurmExecutor

from hvdtma.core.errors import UserError
from slurm.checks import Resources
from slurm.defaults import ClusterDefaults

# How often a job may reach its time limit; submitit wants a number, a run has an end of its own.
MAX_RESTARTS = 100_000
ONE_TASK = ("--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--overlap", "--no-kill")


@dataclass(frozen=True)
class Request:
    """JobTarget is asked for.

    Attributes:
        folder: for logs and pickles.
        minutes: the time limit.
        driven: only one task is started: it starts the others, and may lose a node.
    """

    folder: Path
    name: str
    resources: Resources
    minutes: int
    partition: str | None
    defaults: ClusterDefaults
    driven: bool

    @property
    def save_s(self) -> int:
        """Seconds before the time limit at which trainers save."""
        return min(self.defaults.save_s, self.minutes * 60 // 4)

    @property
    def tasks(self) -> int:
        return 1 if self.driven else self.resources.tasks


@dataclass(frozen=True)
class Cluster:
    """Where jobs may be sent: `executor` sends them, `script` says how for so many jobs."""

    executor: Callable[[Request], SlurmExecutor | LocalExecutor]
    script: Callable[[Request, int], str]


def slurm_options(request: Request) -> dict[str, Any]:
    """Options of sbatch in submitit's words."""
    resources, defaults = request.resources, request.defaults
    further: dict[str, Any] = {"requeue": True, **defaults.sbatch}
    options = {
        "job_name": request.name,
        "time": request.minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "gpus_per_node": resources.gpus_per_node or None,
        "partition": request.partition or defaults.partition,
        "account": defaults.account,
        "qos": defaults.qos,
        "constraint": defaults.constraint,
        "cpus_per_task": defaults.cpus_per_task,
        "mem": f"{round(defaults.memory_gb * 1024)}M" if defaults.memory_gb else None,
        "setup": defaults.setup_lines or None,
        "signal_delay_s": request.save_s,
        "stderr_to_stdout": True,
        "additional_parameters": further | ({"no-kill": True} if request.driven else {}),
        "srun_args": ONE_TASK if request.driven else None,
    }
    return {key: value for key, value in options.items() if value is not None}


class _Script(SlurmExecutor):
    """Writes scripts where there is no Slurm, too."""

    @classmethod
    def affinity(cls) -> int:
        return 1


def slurm_script(request: Request, jobs: int) -> str:
    """JobTarget sbatch is given."""
    executor = _Script(request.folder, max_num_timeout=MAX_RESTARTS)
    executor.update_parameters(**slurm_options(request))
    if jobs > 1:
        executor.parameters["map_count"] = jobs
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def slurm_executor(request: Request) -> SlurmExecutor:
    """Sends jobs to Slurm; raises UserError if there is none."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UserError("sbatch is not there: this machine has no Slurm; use --cluster local")
    executor = SlurmExecutor(request.folder, max_num_timeout=MAX_RESTARTS)
    executor.update_parameters(**slurm_options(request))
    return executor


def local_script(request: Request, jobs: int) -> str:
    """JobTarget is started here."""
    command = f"{sys.executable} -u -m submitit.core._submit {request.folder}"
    return f"# on this machine, {request.tasks} x {jobs} times:\n{command}"


def local_executor(request: Request) -> LocalExecutor:
    """Starts jobs on this machine, where all nodes are one."""
    executor = LocalExecutor(request.folder, max_num_timeout=MAX_RESTARTS)
    executor.update_parameters(
        tasks_per_node=request.tasks,
        timeout_min=request.minutes,
        gpus_per_node=request.resources.gpus_per_node,
        signal_delay_s=request.save_s,
        stderr_to_stdout=True,
    )
    return executor


CLUSTERS = {
    "slurm": Cluster(slurm_executor, slurm_script),
    "local": Cluster(local_executor, local_script),
}


@contextmanager
def out_of_reach() -> Iterator[None]:
    """Processes started within do not hear Ctrl-C at, nor the end of, this one's terminal."""
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
