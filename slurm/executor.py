"""submitit's executors, set up for a job."""

from __future__ import annotations

import math
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import LocalExecutor

from hvdtma.core.errors import UserError
from slurm.defaults import ClusterDefaults
from slurm.resources import Resources
from slurm.sbatch import MAX_REQUEUES, Sbatch

# A trainer that fails ends the others, which would wait for it.
ALL_TASKS = ("--kill-on-bad-exit=1",)
UNLIMITED = 1_000_000  # jobs of an array at a time; submitit's default is 256
# Options that sbatch does not take together.
EXCLUSIVE = (
    *(("no-requeue", "requeue"), ("exclusive", "oversubscribe")),
    *(("mem", "mem-per-cpu", "mem-per-gpu"), ("cpus-per-task", "cpus-per-gpu")),
)
ONE_TASK = ("--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--overlap", "--no-kill")


@dataclass(frozen=True)
class JobRequest:
    """A job to submit.

    Attributes:
        folder: for logs, scripts and pickles.
        minutes: the time limit.
        elastic: only the driver is started as a task. It starts the trainers, and the job survives
            the loss of a node.
        python_path: where the job looks for modules, before its own PYTHONPATH.
        array_parallel: number of jobs of an array that run at a time; None: no limit.
    """

    folder: Path
    name: str
    resources: Resources
    minutes: int
    defaults: ClusterDefaults
    elastic: bool
    python_path: str
    array_parallel: int | None = None

    @property
    def save_s(self) -> int:
        """Seconds before the time limit at which trainers save."""
        return min(self.defaults.save_s, self.minutes * 60 // 4)

    @property
    def tasks(self) -> int:
        return 1 if self.elastic else self.resources.tasks


@dataclass(frozen=True)
class Backend:
    """A place to send jobs: its executor, and the script that runs a number of jobs there."""

    executor: Callable[[JobRequest], Sbatch | LocalExecutor]
    script: Callable[[JobRequest, int], str]


def slurm_options(request: JobRequest) -> dict[str, Any]:
    """Options of sbatch, as submitit names them."""
    resources, defaults = request.resources, request.defaults
    further: dict[str, Any] = {"requeue": True}
    if request.elastic:
        further["no-kill"] = True
    if defaults.gpu_bind:
        further["gpu-bind"] = defaults.gpu_bind
    further |= {key: value for key, value in defaults.sbatch.items() if value is not False}
    named = (
        *("partition", "account", "qos", "constraint", "nodelist", "exclude"),
        *("mail_type", "mail_user", "cpus_per_task"),
    )
    options = {
        **{name: getattr(defaults, name) for name in named},
        "job_name": request.name,
        "time": request.minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "gpus_per_node": resources.gpus_per_node or None,
        "mem": _memory(defaults.memory_gb),
        "setup": [
            *defaults.setup_lines,
            _python_path_line(request),
            # So that tools tell the driver from trainers, which have HVDTMA_NAME besides.
            *["export HVDTMA_DRIVER=1"] * request.elastic,
        ],
        "signal_delay_s": request.save_s,
        "stderr_to_stdout": True,
        "additional_parameters": further,
        "srun_args": ONE_TASK if request.elastic else ALL_TASKS,
        "array_parallelism": request.array_parallel or UNLIMITED,
    }
    given = {key: value for key, value in options.items() if value is not None}
    return given | {"wckey": None}  # submitit sets one, which many clusters refuse


def left_out(request: JobRequest) -> set[str]:
    """Options of sbatch that are not in the script.

    Those that are `false` in the cluster defaults, and those that exclude an option which stands
    before them in `EXCLUSIVE` and is given.
    """
    defaults = request.defaults
    given = {key for key, value in defaults.sbatch.items() if value is not False}
    given |= {"mem"} if defaults.memory_gb is not None else set()
    given |= {"cpus-per-task"} if defaults.cpus_per_task is not None else set()
    out = {key for key, value in defaults.sbatch.items() if value is False}
    for options in EXCLUSIVE:
        present = [option for option in options if option in given]
        out |= set(options) - set(present[:1]) if present else set()
    return out


def _memory(memory_gb: float | None) -> str | None:
    """Memory of a node for --mem, rounded up: 0 would mean all of it."""
    return None if memory_gb is None else f"{math.ceil(memory_gb * 1024)}M"


def _python_path_line(request: JobRequest) -> str:
    """Shell for PYTHONPATH: sbatch may be told not to export it, and modules may have set it."""
    return f"export PYTHONPATH={shlex.quote(request.python_path)}${{PYTHONPATH:+:$PYTHONPATH}}"


def sbatch_of(request: JobRequest) -> Sbatch:
    """The executor that sends a job to Slurm."""
    executor = Sbatch(request.folder, left_out(request))
    executor.update_parameters(**slurm_options(request))
    return executor


def slurm_script(request: JobRequest, jobs: int) -> str:
    """The batch script."""
    return sbatch_of(request).script(jobs)


def slurm_executor(request: JobRequest) -> Sbatch:
    """Sends jobs to Slurm. Raises UserError on a machine without Slurm."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UserError(
            "No Slurm here: sbatch is not on the PATH. Use --cluster local to start the job on "
            "this machine, or --dry-run to print its script"
        )
    return sbatch_of(request)


def local_script(request: JobRequest, jobs: int) -> str:
    """The command that each task runs."""
    command = f"{sys.executable} -u -m submitit.core._submit {request.folder}"
    export = f"export PYTHONPATH={shlex.quote(request.python_path)}"
    return f"# on this machine, {request.tasks} x {jobs} times:\n{export}\n{command}"


def local_executor(request: JobRequest) -> LocalExecutor:
    """Starts jobs on this machine, with the tasks of all nodes."""
    executor = LocalExecutor(request.folder, max_num_timeout=MAX_REQUEUES)
    executor.update_parameters(
        tasks_per_node=request.tasks,
        timeout_min=request.minutes,
        gpus_per_node=request.resources.gpus_per_node,
        signal_delay_s=request.save_s,
        stderr_to_stdout=True,
    )
    return executor


BACKENDS = {
    "slurm": Backend(slurm_executor, slurm_script),
    "local": Backend(local_executor, local_script),
}


@contextmanager
def ignored_terminal_signals() -> Iterator[None]:
    """Processes started inside the block ignore Ctrl-C, and the end of this terminal."""
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
