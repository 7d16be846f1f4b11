"""The launcher that started this process, as its environment variables tell."""

from __future__ import annotations

import os

# The variables of the rank and the size come first. A launcher started this process if all of its
# variables are set; the first one in this order counts, because torchrun may run under srun.
LAUNCHERS = {
    "horovodrun": ("HOROVOD_RANK", "HOROVOD_SIZE"),
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    "torchrun": ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    "submitit": ("SUBMITIT_LOCAL_GLOBALID", "SUBMITIT_LOCAL_NTASKS"),  # submit --cluster local
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # the second is set under srun only
}


def launcher_name() -> str | None:
    """The name of the launcher; None if this process is alone."""
    for name, variables in LAUNCHERS.items():
        if all(variable in os.environ for variable in variables):
            return name
    return None


def launched_as() -> tuple[int, int]:
    """(rank, size) that the launcher gave this process; (0, 1) if it is alone."""
    name = launcher_name()
    if name is None:
        return 0, 1
    rank, size = LAUNCHERS[name][:2]
    return int(os.environ[rank]), int(os.environ[size])


def status_of_others(status: int) -> int:
    """Exit status of a process whose error another trainer reports for all.

    0 in a step of several tasks: Slurm may kill all tasks at the first bad status, before that
    trainer has printed the error. Its status is that of the step. Not asked by `launcher_name`:
    once the trainers have met, Horovod's variables are set too.
    """
    tasks = os.environ.get(LAUNCHERS["srun"][1], "")
    return 0 if tasks.isdigit() and int(tasks) > 1 else status
