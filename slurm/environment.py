"""Environment variables that srun and sbatch must not inherit from an enclosing job.

srun and sbatch read their options from the environment as well. Slurm sets the same variables for
the tasks of a job, so a command that a task starts would take the enclosing job's values for the
user's wishes: CPU masks of another node, sizes of another job, ranks of other processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hvdtma.comm.rendezvous.worker_env import VARIABLES as WORKER_VARIABLES

# Set by srun for the tasks of a step ("output environment variables" of its manual). Options that
# sbatch also passes on from the user, like SLURM_GPU_BIND or SLURM_THREADS_PER_CORE, stay.
STEP_VARIABLES = (
    *("SLURM_STEP", "SLURM_CPU_BIND", "SLURM_MEM_BIND", "SLURM_DIST", "SLURM_OVERCOMMIT"),
    *("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NNODES", "SLURM_TASKS_PER_NODE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS", "SLURM_TASK_PID"),
    *("SLURM_LABELIO", "SLURM_UMASK", "SLURM_PRIO_PROCESS", "SLURM_LAUNCH_NODE_IPADDR"),
    *("SLURM_SRUN_COMM", "SRUN_DEBUG"),
)
JOB_VARIABLES = ("SLURM", "SBATCH_", "SRUN_", "SALLOC_")
# Ranks and addresses of other launchers.
LAUNCHER_VARIABLES = (
    *("PMI", "OMPI_", "SUBMITIT_", "HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_"),
    *("HOROVOD_CROSS_", "HOROVOD_HOSTNAME", "HOROVOD_GLOO_RENDEZVOUS", "HOROVOD_ELASTIC"),
    *WORKER_VARIABLES,
)
KEPT = ("SLURM_CONF",)  # which cluster to ask


def step_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for an srun that starts a further step of the same job."""
    hidden = (*STEP_VARIABLES, "PMI", "OMPI_")
    return {name: value for name, value in environ.items() if not name.startswith(hidden)}


@contextmanager
def submission_environment() -> Iterator[None]:
    """Hide the variables of an enclosing job from this process inside the block.

    For the submission of a new job. Outside of a job, variables like SBATCH_ACCOUNT are the user's
    own and stay.
    """
    hidden: tuple[str, ...] = LAUNCHER_VARIABLES
    if "SLURM_JOB_ID" in os.environ:
        hidden += JOB_VARIABLES
    removed = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(hidden) and name not in KEPT
    }
    try:
        yield
    finally:
        os.environ.update(removed)
