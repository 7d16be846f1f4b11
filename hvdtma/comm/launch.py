"""How this process was started, and so how it reaches the other trainers."""

from __future__ import annotations

import os
from pathlib import Path

from hvdtma.comm.communicator import Communicator, TooFewLeft
from hvdtma.core.errors import Interrupted, UserError
from hvdtma.core.launcher import launched_by_horovod
from hvdtma.core.signals import ShutdownSignal


def join_unless_interrupted(
    shutdown: ShutdownSignal, folder: Path, *, elastic: bool = False
) -> Communicator:
    """As `join_trainers`; raises Interrupted if a signal comes before.

    And if too few others come, where trainers are elastic; else they have failed, and would again.
    """
    try:
        with shutdown.raise_on_signal(Interrupted("interrupted before all trainers had met")):
            return join_trainers(folder, elastic=elastic)
    except TooFewLeft as left:
        if not elastic:
            raise
        raise Interrupted(f"{left}; nothing was trained") from left


def join_trainers(folder: Path, *, elastic: bool = False) -> Communicator:
    """Meet the other trainers of this job; alone if nobody started any.

    Args:
        folder: that all of them see; a file there says where they meet.
        elastic: whether the config is.

    Raises UserError if the config is elastic and the launcher is not, or the other way round.
    """
    from horovod.torch import mpi_built

    from hvdtma.comm.groups import ElasticLaunchedGroup, Group, LaunchedGroup, RendezvousGroup
    from hvdtma.comm.horovod import HorovodComm
    from hvdtma.comm.rendezvous.worker_env import WorkerEnv
    from hvdtma.comm.slurm_meeting import meet
    from hvdtma.comm.slurm_task import SlurmTask

    invitation, task = WorkerEnv.here(), SlurmTask.here()
    group: Group | None = None
    if invitation is not None:
        group = RendezvousGroup(
            invitation.client,
            invitation.name,
            invitation.host,
            elastic=True,
            slot=invitation.slot,
        )
    elif launched_by_horovod():
        group = (
            ElasticLaunchedGroup() if os.environ.get("HOROVOD_ELASTIC") == "1" else LaunchedGroup()
        )
    _check_elastic(elastic, group is not None and group.elastic)
    if group is not None:
        return HorovodComm(group)
    pmix = "PMIX_RANK" in os.environ and mpi_built()  # then Horovod finds its rank by itself
    if task is not None and task.size > 1 and not pmix:
        return meet(task, folder)
    return HorovodComm(LaunchedGroup())


def _check_elastic(config: bool, launcher: bool) -> None:
    if config and not launcher:
        raise UserError(
            "elastic trainers need a driver that starts them again: hvdtma drive CONFIG (in a "
            "Slurm job, or --local M here), or horovodrun --host-discovery-script; or elastic=false"
        )
    if launcher and not config:
        raise UserError("the launcher is elastic, the config is not; add elastic=true")
