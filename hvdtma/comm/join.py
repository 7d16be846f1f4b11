"""Join the other trainers: choose the communicator that fits this process's launcher."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import torch.distributed as dist

from hvdtma.comm.communicator import Communicator, TooFewTrainers
from hvdtma.comm.rendezvous.worker_env import WorkerEnv
from hvdtma.comm.single_process import SingleProcess
from hvdtma.comm.slurm_meeting import meet
from hvdtma.comm.slurm_task import SlurmTask, tasks_without_srun
from hvdtma.comm.torch_distributed import join_torchrun
from hvdtma.comm.transport import (
    TRANSPORTS,
    has_horovod,
    require_elastic_transport,
    require_horovod,
)
from hvdtma.core.console import warn
from hvdtma.core.errors import Interrupted, UserError, nearest
from hvdtma.core.launcher import launcher_name
from hvdtma.core.signals import ShutdownSignal

PROGRAM_NAMES = ("hvdtma", "__main__.py")
HOROVOD_LAUNCHERS = ("horovodrun", "mpirun")
# The transports that a launcher allows, where it does not allow all.
ALLOWED: dict[str, tuple[str, ...]] = {
    "hvdtma drive": ("auto", "horovod"),
    "horovodrun": ("auto", "horovod"),
    "mpirun": ("auto", "horovod"),
    "torchrun": ("auto", "torch"),
}


def join_trainers(
    folder: Path | None = None, *, elastic: bool = False, transport: str = "auto"
) -> Communicator:
    """Meet the other trainers of this job; return the communicator to them.

    | launcher                                    | communicator                                 |
    |---------------------------------------------|----------------------------------------------|
    | `hvdtma drive`                              | Horovod, elastic                             |
    | horovodrun, mpirun, srun --mpi=pmix         | Horovod; elastic with --host-discovery-script|
    | torchrun, torch.distributed.init_...        | torch.distributed                            |
    | srun, `hvdtma submit --cluster local`       | Horovod if installed, else torch.distributed;|
    |                                             | `transport` chooses                          |
    | none, or srun with one task                 | SingleProcess                                |

    Args:
        folder: one that all trainers see. Under srun they meet by a file there. None: the working
            directory.
        elastic: whether trainers may be lost and may join; must match the launcher.
        transport: auto, horovod or torch.

    Raises UserError if the launcher does not fit `elastic` or `transport`, or Horovod is needed
    and not installed; TrainerError if the other trainers cannot be reached.
    """
    worker, task = WorkerEnv.from_environ(), SlurmTask.from_environ()
    launcher = "hvdtma drive" if worker else launcher_name()
    if launcher not in ("hvdtma drive", *HOROVOD_LAUNCHERS) and dist.is_initialized():
        launcher = "torchrun"
    _check_transport(transport, launcher)
    _check_elastic(elastic, launcher)
    if worker:
        return _join_driver(worker)
    if launcher in HOROVOD_LAUNCHERS:
        return _join_horovod_launcher(launcher)
    if launcher == "torchrun":
        return join_torchrun()
    if task is None or task.size == 1:
        _warn_of_idle_tasks()
        return SingleProcess()
    if transport != "torch" and _has_pmix():
        return _join_horovod_launcher("srun --mpi=pmix")
    return meet(task, folder or Path.cwd(), transport=transport)


def join_unless_interrupted(
    shutdown: ShutdownSignal,
    folder: Path,
    *,
    elastic: bool = False,
    transport: str = "auto",
) -> Communicator:
    """Call `join_trainers`; raise Interrupted if a signal comes before all trainers have met.

    It also raises Interrupted if too few trainers come and trainers are elastic: the job may run
    again later. If they are not elastic, TooFewTrainers is an error.
    """
    try:
        with shutdown.raise_on_signal(Interrupted("interrupted before all trainers had met")):
            return join_trainers(folder, elastic=elastic, transport=transport)
    except TooFewTrainers as too_few:
        if not elastic:
            raise
        raise Interrupted(f"{too_few}; nothing was trained") from too_few


def _warn_of_idle_tasks() -> None:
    """Warn if the Slurm job has several tasks, and srun was forgotten."""
    tasks = tasks_without_srun()
    if tasks > 1:
        program = ["hvdtma"] if Path(sys.argv[0]).name in PROGRAM_NAMES else ["python", sys.argv[0]]
        command = shlex.join(["srun", *program, *sys.argv[1:]])
        warn(
            f"this job has {tasks} tasks, but srun did not start this process: one trainer trains "
            f"alone, and {tasks - 1} tasks are idle. For {tasks} trainers: {command}"
        )


def _join_driver(worker: WorkerEnv) -> Communicator:
    require_elastic_transport()
    from hvdtma.comm.groups import RendezvousGroup
    from hvdtma.comm.horovod import HorovodComm

    group = RendezvousGroup(
        worker.client,
        worker.name,
        worker.host,
        elastic=True,
        slot=worker.slot,
        rejoin_timeout_s=worker.rejoin_timeout_s,
    )
    return HorovodComm(group)


def _join_horovod_launcher(launcher: str) -> Communicator:
    elastic = _is_elastic_horovodrun()
    require_horovod(f"{launcher} started this process", elastic=elastic)
    from hvdtma.comm.groups import ElasticLaunchedGroup, LaunchedGroup
    from hvdtma.comm.horovod import HorovodComm

    return HorovodComm(ElasticLaunchedGroup() if elastic else LaunchedGroup())


def _is_elastic_horovodrun() -> bool:
    return os.environ.get("HOROVOD_ELASTIC") == "1"


def _has_pmix() -> bool:
    """Whether Horovod, built with MPI, finds its rank by PMIx."""
    if "PMIX_RANK" not in os.environ or not has_horovod():
        return False
    import horovod.torch as hvd

    return bool(hvd.mpi_built())


def _check_transport(transport: str, launcher: str | None) -> None:
    if transport not in TRANSPORTS:
        raise UserError(f"--comm is '{transport}'; {nearest(transport, list(TRANSPORTS))}")
    allowed = ALLOWED.get(launcher or "", TRANSPORTS)
    if transport not in allowed:
        raise UserError(
            f"--comm is {transport}, but {launcher} started this process; valid here: "
            f"{', '.join(allowed)}. Horovod needs horovodrun or srun; torch.distributed needs "
            "torchrun or srun"
        )


def _check_elastic(elastic: bool, launcher: str | None) -> None:
    driven = launcher == "hvdtma drive" or (launcher == "horovodrun" and _is_elastic_horovodrun())
    if elastic and launcher == "torchrun":
        raise UserError(
            "elastic=true needs Horovod: trainers of torch.distributed cannot go on without a lost "
            "one. Start with hvdtma drive CONFIG or horovodrun --host-discovery-script; or use "
            "elastic=false"
        )
    if elastic and not driven:
        raise UserError(
            "elastic trainers need a driver that starts them again: hvdtma drive CONFIG (in a "
            "Slurm job, or --local M here), or horovodrun --host-discovery-script; or elastic=false"
        )
    if driven and not elastic:
        raise UserError("the launcher is elastic, the config is not; add elastic=true")
