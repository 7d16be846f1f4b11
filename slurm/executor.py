"""submitit's executors, told what a job asks for."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from submitit import LocalExecutor, SlurmExecutor

from slurm.check import Resources
from slurm.defaults import ClusterDefaults

# How often a job may reach its time limit; submitit wants a number, a run has an end of its own.
MAX_RESTARTS = 100_000


class _Script(SlurmExecutor):
    """Writes scripts where there is no Slurm, too."""

    @classmethod
    def affinity(cls) -> int:
        return 1


def slurm_options(
    resources: Resources,
    defaults: ClusterDefaults,
    *,
    name: str,
    minutes: int,
    partition: str | None,
    driven: bool,
) -> dict[str, Any]:
    """Options in submitit's words.

    Args:
        driven: only one task is started: it starts the others, and may lose a node.
    """
    options: dict[str, Any] = {
        "job_name": name,
        "time": minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "gpus_per_node": resources.gpus_per_node or None,
        "partition": partition or defaults.partition,
        "account": defaults.account,
        "qos": defaults.qos,
        "constraint": defaults.constraint,
        "cpus_per_task": defaults.cpus_per_task,
        "mem": f"{round(defaults.memory_gb * 1024)}M" if defaults.memory_gb else None,
        "setup": defaults.setup_lines or None,
        "signal_delay_s": save_s(defaults, minutes),
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True, **defaults.sbatch},
    }
    if driven:
        options["additional_parameters"]["no-kill"] = True
        one = ["--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--overlap", "--no-kill"]
        options["srun_args"] = one
    return {key: value for key, value in options.items() if value is not None}


def save_s(defaults: ClusterDefaults, minutes: int) -> int:
    """Seconds before the time limit at which trainers save."""
    return min(defaults.save_s, minutes * 60 // 4)


def script(folder: Path, options: dict[str, Any], jobs: int) -> str:
    """What sbatch is given."""
    executor = _Script(folder, max_num_timeout=MAX_RESTARTS)
    executor.update_parameters(**options)
    if jobs > 1:
        executor.parameters["map_count"] = jobs
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def local_script(folder: Path, tasks: int) -> str:
    """What the local executor does."""
    return f"{tasks} times, on this machine: {sys.executable} -m submitit.core._submit {folder}\n"


def slurm_executor(folder: Path, options: dict[str, Any]) -> SlurmExecutor:
    """Sends jobs to Slurm."""
    executor = SlurmExecutor(folder, max_num_timeout=MAX_RESTARTS)
    executor.update_parameters(**options)
    return executor


def local_executor(
    folder: Path, resources: Resources, minutes: int, *, tasks: int
) -> LocalExecutor:
    """Starts jobs on this machine, where all nodes are one."""
    executor = LocalExecutor(folder, max_num_timeout=MAX_RESTARTS)
    executor.update_parameters(
        tasks_per_node=tasks,
        timeout_min=minutes,
        gpus_per_node=resources.gpus_per_node,
        signal_delay_s=save_s(ClusterDefaults(), minutes),
        stderr_to_stdout=True,
    )
    return executor


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
