"""Errors that can be found before a job waits in the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hvdtma.comm.slurm_task import slurm
from hvdtma.comm.transport import require_elastic_transport
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.folder import StartMode
from hvdtma.training.check_start import check_start
from slurm.defaults import ClusterDefaults
from slurm.folder import JobFolder
from slurm.resources import Resources, check_trainer_count
from slurm.text import control_characters

# Options of sbatch that give trainers CPUs.
CPU_OPTIONS = ("cpus-per-task", "cpus-per-gpu", "exclusive")


def check_name(kind: str, name: str, remedy: str) -> None:
    """Raises UserError for a name or path that sbatch does not take literally.

    sbatch and submitit replace `%j`, `%x` and others in paths; a control character ends the line
    of the batch script that holds it.
    """
    bad = ["%"] * ("%" in name) + control_characters(name)
    if bad:
        found = ", ".join(map(repr, bad))
        raise UserError(
            f"the {kind} is {name!r} and contains {found}; Slurm cannot use % or control "
            f"characters there; {remedy}"
        )


def check_run(config: TrainConfig, resources: Resources, defaults: ClusterDefaults) -> bool:
    """Check that a run can start, or resume, with a job's resources. True if it will resume.

    Raises UserError if the config and the resources do not agree, if the run is complete, and as
    `check_start` does.
    """
    asked = f"{resources.nodes} x {resources.tasks_per_node} = {resources.tasks}"
    if not config.elastic and config.trainers not in (None, resources.tasks):
        raise UserError(
            f"the config asks for {config.trainers} trainers, --nodes and --tasks-per-node for "
            f"{asked}; each task is one trainer"
        )
    if config.elastic:
        require_elastic_transport()
    check_trainer_count(config, resources.tasks)
    _check_gpus(config, resources, defaults)
    mode = check_start(config, resources.tasks)
    if mode is StartMode.DONE:
        raise UserError(f"{config.run} is complete; give run=ANOTHER, or remove it to train again")
    return mode is StartMode.RESUME


def _check_gpus(config: TrainConfig, resources: Resources, defaults: ClusterDefaults) -> None:
    """Raises UserError if GPUs are requested and not used, or needed and not requested."""
    if resources.gpus_per_node and config.device == "cpu":
        raise UserError("GPUs are requested, but device is cpu; use device=auto, or no GPUs")
    if config.device == "cuda" and not _asks_for_gpus(resources, defaults):
        raise UserError("device is cuda, but no GPU is requested; give --gpus-per-node")


def _asks_for_gpus(resources: Resources, defaults: ClusterDefaults) -> bool:
    further = (f"{key} {value}" for key, value in defaults.sbatch.items() if key != "gpu-bind")
    return bool(resources.gpus_per_node) or any("gpu" in option for option in further)


def resource_remarks(
    resources: Resources, defaults: ClusterDefaults, configs: Sequence[TrainConfig]
) -> list[str]:
    """One line for each resource that a job asks for and would waste, or lacks."""
    tasks, gpus = resources.tasks_per_node, resources.gpus_per_node
    memory_gb = max((config.memory_gb or 0.0 for config in configs), default=0.0)
    found = []
    if not _asks_for_cpus(defaults) and _asks_for_gpus(resources, defaults):
        found.append(
            "GPUs are requested, but no CPUs: most clusters give a task one CPU then, and batches "
            "are made on CPUs. Give --cpus-per-task, or cpus_per_task in the cluster defaults"
        )
    if gpus > tasks:
        found.append(
            f"each node has {gpus} GPUs for {tasks} task{'s' * (tasks > 1)}; a trainer uses one "
            f"GPU. Give --tasks-per-node {gpus}, or --gpus-per-node {tasks}"
        )
    if tasks > gpus > 0:
        found.append(
            f"{tasks} tasks share {gpus} GPU{'s' * (gpus > 1)} on each node, and average through "
            f"the CPU. Give --tasks-per-node {gpus}, or --gpus-per-node {tasks}"
        )
    if defaults.memory_gb and tasks * memory_gb > defaults.memory_gb:
        found.append(
            f"memory_gb is {memory_gb:g} for each of {tasks} trainers of a node, but --mem is "
            f"{defaults.memory_gb:g} GiB. Give --mem {math.ceil(1.25 * tasks * memory_gb)}G, or "
            f"memory_gb={0.8 * defaults.memory_gb / tasks:.2g}"
        )
    return found


def _asks_for_cpus(defaults: ClusterDefaults) -> bool:
    return bool(defaults.cpus_per_task or any(defaults.sbatch.get(key) for key in CPU_OPTIONS))


def check_not_queued(folder: JobFolder, runs: list[Path]) -> None:
    """Raises UserError if a waiting or running job already trains one of the runs."""
    run_of_job = {job: run for run in runs for job in folder.jobs_of(run)}
    if not run_of_job:
        return
    queued = slurm("squeue", "--me", "--array", "--noheader", "--format=%i").split()
    for job in sorted(set(run_of_job).intersection(queued)):
        raise UserError(
            f"{run_of_job[job]} belongs to job {job}, which has not ended; end it with scancel "
            f"{job}, or give run=ANOTHER"
        )
