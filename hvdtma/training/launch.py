"""Training in this process: join the other trainers, train, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hvdtma.comm import InProcessGroup
from hvdtma.comm.communicator import Communicator
from hvdtma.comm.join import join_unless_interrupted
from hvdtma.core.bounds import MOST_IN_PROCESS, check_whole
from hvdtma.core.config import Given, Overrides
from hvdtma.core.errors import UserError
from hvdtma.core.launcher import launched_as
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.report import write_report
from hvdtma.runs.request import RunRequest, check_here, train_request
from hvdtma.runs.summary import print_summary
from hvdtma.training.callback import Callback
from hvdtma.training.session import train


def train_here(
    config: Given = None,
    overrides: Overrides = (),
    *,
    resume: Path | None = None,
    or_resume: bool = False,
    overwrite: bool = False,
    in_process: int | None = None,
    transport: str = "auto",
    shutdown: ShutdownSignal | None = None,
) -> dict | None:
    """Train in this process, as one of the trainers that its launcher started.

    Every process of the job calls this. It meets the others by horovodrun, torchrun, srun or
    `hvdtma drive`; a process without a launcher trains alone.

    Args:
        config, overrides: see `hvdtma.runs.request.run_request`.
        resume: folder of a run to continue from its newest checkpoint.
        or_resume: continue the config's run if it exists.
        overwrite: replace the config's run if it exists.
        in_process: train as this many trainers in this process, on a virtual clock.
        transport: auto, horovod or torch; see `hvdtma.comm.join.join_trainers`.
        shutdown: its signal makes all trainers save and end.

    Returns the run's summary on rank 0; None on other ranks, and if the run was complete before.

    Raises UserError for a bad request, Interrupted once a run that was cut short is saved.
    """
    check_here(resume, config)
    request = train_request(
        config, overrides, resume=resume, or_resume=or_resume, overwrite=overwrite
    )
    return run_request_here(request, in_process=in_process, transport=transport, shutdown=shutdown)


def run_request_here(
    request: RunRequest[TrainConfig],
    *,
    in_process: int | None = None,
    transport: str = "auto",
    shutdown: ShutdownSignal | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict | None:
    """Train for a request whose config is loaded already; see `train_here`.

    Args:
        callbacks: called on rank 0.
    """
    config, shutdown = request.config, shutdown or ShutdownSignal()

    def run(comm: Communicator) -> dict | None:
        summary = train(
            config,
            comm,
            mode=request.mode,
            shutdown=shutdown,
            report=write_report,
            callbacks=callbacks if comm.rank == 0 else (),
        )
        if summary:
            print_summary(config.run, summary)
        return summary

    if in_process:
        _check_alone(in_process, transport, config.elastic)
        return InProcessGroup(in_process).run(run)[0]
    return run(
        join_unless_interrupted(
            shutdown, config.run.parent, elastic=config.elastic, transport=transport
        )
    )


def _check_alone(in_process: int, transport: str, elastic: bool) -> None:
    check_whole("the number of trainers in one process", in_process, 1, MOST_IN_PROCESS)
    if elastic:
        raise UserError(
            "elastic=true needs trainers that can be lost and join: processes under hvdtma drive "
            "or horovodrun. Leave it out, or --in-process"
        )
    _, processes = launched_as()
    if processes > 1:
        raise UserError(
            f"--in-process {in_process} trains in one process, but a launcher started {processes}; "
            "leave one of the two out"
        )
    if transport != "auto":
        raise UserError(
            f"--in-process needs no transport between processes, but --comm is {transport}"
        )
