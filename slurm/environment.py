"""Environment variables of jobs: what they must not inherit from an enclosing job, and PYTHONPATH.

srun and sbatch read their options from the environment as well. Slurm sets the same variables for
the tasks of a job, so a command that a task starts would take the enclosing job's values for the
user's wishes: CPU masks of another node, sizes of another job, ranks of other processes.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hvdtma.comm.rendezvous.worker_env import VARIABLES as WORKER_VARIABLES

# Set by srun for the tasks of a step ("output environment variables" of its manual). Options that
# sbatch also passes on from the user, like SLURM_GPU_BIND or SLURM_THREADS_PER_CORE, stay.
STEP_VARIABLES = (
    *("SLURM_STEP", "SLURM_CPU_BIND", "SLURM_MEM_BIND", "SLURM_DIST", "SLURM_OVERCOMMIT"),
    *("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NNODES", "SLURM_TASKS_PER_NODE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS", "SLURM_TASK_PID"),
    *("SLURM_LABELIO", "SLURM_UMASK", "SLURM_PRIO_PROCESS", "SLURM_LAUNCH_NODE_IPADDR"),
    *("SLURM_SRUN_COMM", "SRUN_DEBUG", "SLURM_JOB_CPUS_PER_NODE_PACK_GROUP"),
)
# Slurm sets them for a step that has GPUs; another node's GPUs may have other numbers.
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
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
    hidden: tuple[str, ...] = (*STEP_VARIABLES, "PMI", "OMPI_")
    if "SLURM_STEP_GPUS" in environ:
        hidden += GPU_VARIABLES
    return {name: value for name, value in environ.items() if not name.startswith(hidden)}


def python_path() -> str:
    """PYTHONPATH of a job that imports the same modules as this process.

    The folders of `sys.path` that Python does not search by itself, and the working directory.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    own = [sysconfig.get_path(name) for name in names]
    own += [*site.getsitepackages(), site.getusersitepackages()]
    added = [Path(entry).absolute() for entry in [*sys.path, ""]]
    kept = [entry for entry in added if entry.exists() and not _is_in(entry, own)]
    return os.pathsep.join(dict.fromkeys(map(str, kept)))


def _is_in(entry: Path, folders: list[str]) -> bool:
    return any(entry.is_relative_to(folder) for folder in folders)


@contextmanager
def submission_environment(**variables: str) -> Iterator[None]:
    """Hide the variables of an enclosing job from this process inside the block.

    For the submission of a new job. Outside of a job, variables like SBATCH_ACCOUNT are the user's
    own and stay.

    Args:
        variables: set inside the block.
    """
    hidden: tuple[str, ...] = LAUNCHER_VARIABLES
    if "SLURM_JOB_ID" in os.environ:
        hidden += JOB_VARIABLES
    removed = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(hidden) and name not in KEPT
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.update(removed)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
