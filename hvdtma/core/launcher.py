"""What a launcher says in the environment, before Horovod is asked."""

from __future__ import annotations

import os

LAUNCHERS = (
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)
LOCAL_TASK = ("SUBMITIT_LOCAL_GLOBALID", "SUBMITIT_LOCAL_NTASKS")  # hvdtma submit --cluster local
SLURM_STEP = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")  # set under srun only


def launched_as() -> tuple[int, int]:
    """(rank, size) that whoever started this process gave it; (0, 1) if it is alone."""
    for rank, size in (*LAUNCHERS, LOCAL_TASK, SLURM_STEP):
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def launched_by_horovod() -> bool:
    """Whether horovodrun or mpirun has set everything up."""
    return any(rank in os.environ for rank, _ in LAUNCHERS)
