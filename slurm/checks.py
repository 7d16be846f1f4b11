"""JobTarget can be known to be wrong before a job waits in a queue for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hvdtma.comm.slurm_task import slurm
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from slurm.defaults import ClusterDefaults
from slurm.folder import JobFolder


@dataclass(frozen=True)
class Resources:
    """JobTarget a job asks for."""

    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int = 0

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("tasks_per_node", 1), ("gpus_per_node", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least {least}")

    @property
    def tasks(self) -> int:
        return self.nodes * self.tasks_per_node

    def __str__(self) -> str:
        trainers = f"{self.tasks} task{'s' * (self.tasks > 1)}"
        nodes = f"{self.nodes} node{'s' * (self.nodes > 1)}"
        gpus = f" with {self.gpus_per_node} GPUs each" * bool(self.gpus_per_node)
        return f"{trainers} on {nodes}{gpus}"


def check_run(config: TrainConfig, resources: Resources, defaults: ClusterDefaults) -> bool:
    """Whether a job would go on with a run that was begun; else it begins one.

    Raises UserError if it could do neither, or does not fit what the job asks for.
    """
    from hvdtma.runs.run_folder import RunFolder
    from hvdtma.training.checkpoint import folders
    from hvdtma.training.start import find_checkpoint

    asked = f"{resources.nodes} x {resources.tasks_per_node} = {resources.tasks}"
    if config.trainers not in (None, resources.tasks):
        raise UserError(
            f"the config asks for {config.trainers} trainers, --nodes and --tasks-per-node for "
            f"{asked}; a task is a trainer"
        )
    check_fit(config, resources.tasks)
    if resources.gpus_per_node and config.device == "cpu":
        raise UserError("GPUs are asked for, but device is cpu; use device=auto, or leave them out")
    gpus_elsewhere = any("gpu" in f"{key} {value}" for key, value in defaults.sbatch.items())
    if config.device == "cuda" and not (resources.gpus_per_node or gpus_elsewhere):
        raise UserError("device is cuda, but no GPU is asked for; give --gpus-per-node")
    run = RunFolder(config.run)
    if run.summary.exists():
        raise UserError(f"{run.path} is over; give run=ANOTHER, or remove it to train it anew")
    if not run.versions.exists() and run.path.exists() and any(run.path.iterdir()):
        raise UserError(f"{run.path} exists and is no run; give run=ANOTHER")
    if run.versions.exists() and folders(run):
        find_checkpoint(run, config)
        return True
    return False


def check_fit(config: TrainConfig, trainers: int) -> None:
    """Raises UserError if trainers are too few for the config, or too many for the store."""
    from hvdtma.graph.store import open_store
    from hvdtma.partitioning.assignment import assignment_units, check_trainers

    store = open_store(config.store)
    if config.elastic and config.min_trainers > trainers:
        raise UserError(
            f"min_trainers is {config.min_trainers}, but only {trainers} would be started: a task "
            "is a trainer"
        )
    whole_parts = store.part_offsets is not None
    check_trainers(trainers, len(assignment_units(store)), whole_parts=whole_parts)


def check_not_queued(folder: JobFolder, runs: list[Path]) -> None:
    """Raises UserError if a job that trains one of the runs waits, or runs: two would mix it up."""
    mine = {job: run for run in runs for job in folder.jobs_of(run)}
    if not mine:
        return
    listed = slurm("squeue", "--me", "--array", "--noheader", "--format=%i").split()
    for job in sorted(set(mine).intersection(listed)):
        raise UserError(
            f"{mine[job]} is job {job}'s, which has not ended; scancel {job} ends it, or give "
            "run=ANOTHER"
        )
