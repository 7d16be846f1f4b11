"""Errors that can be found before a job waits in the queue."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from hvdtma.comm.slurm_task import slurm
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.checkpoint import folders
from hvdtma.training.start import find_checkpoint
from slurm.defaults import ClusterDefaults
from slurm.folder import JobFolder
from slurm.resources import Resources, check_trainer_count

CONTROL = ("Cc", "Cs")  # Unicode categories: control characters, undecodable bytes


def check_name(kind: str, name: str, remedy: str) -> None:
    """Raises UserError for a name or path that sbatch does not take literally.

    sbatch and submitit replace `%j`, `%x` and others in paths; a control character ends the line
    of the batch script that holds it.
    """
    bad = sorted({c for c in name if c == "%" or unicodedata.category(c) in CONTROL})
    if bad:
        found = ", ".join(map(repr, bad))
        raise UserError(
            f"the {kind} is {name!r} and contains {found}; Slurm cannot use % or control "
            f"characters there; {remedy}"
        )


def check_run(config: TrainConfig, resources: Resources, defaults: ClusterDefaults) -> bool:
    """Check that a run can start, or resume, with a job's resources. True if it will resume.

    Raises UserError if the run is complete, its folder holds something else, or the config and the
    resources do not agree.
    """
    asked = f"{resources.nodes} x {resources.tasks_per_node} = {resources.tasks}"
    if config.trainers not in (None, resources.tasks):
        raise UserError(
            f"the config asks for {config.trainers} trainers, --nodes and --tasks-per-node for "
            f"{asked}; each task is one trainer"
        )
    check_trainer_count(config, resources.tasks)
    if resources.gpus_per_node and config.device == "cpu":
        raise UserError("GPUs are requested, but device is cpu; use device=auto, or no GPUs")
    gpus_in_defaults = any("gpu" in f"{key} {value}" for key, value in defaults.sbatch.items())
    if config.device == "cuda" and not (resources.gpus_per_node or gpus_in_defaults):
        raise UserError("device is cuda, but no GPU is requested; give --gpus-per-node")
    run = RunFolder(config.run)
    if run.summary.exists():
        raise UserError(f"{run.path} is complete; give run=ANOTHER, or remove it to train again")
    if not run.versions.exists() and run.path.exists() and any(run.path.iterdir()):
        raise UserError(f"{run.path} exists and is not a run; give run=ANOTHER")
    if run.versions.exists() and folders(run):
        find_checkpoint(run, config)
        return True
    return False


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
