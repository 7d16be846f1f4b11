"""A training run on one trainer: start, train, survive losses, score, write the summary."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.comm.communicator import (
    Communicator,
    RegroupNeeded,
    TooFewTrainers,
    TrainerLost,
    run_on_rank0,
)
from hvdtma.comm.rendezvous import RendezvousGone
from hvdtma.comm.single_process import SingleProcess
from hvdtma.core.console import console
from hvdtma.core.errors import Interrupted, SavedForAll, TrainerError, UserError
from hvdtma.core.files import write_json
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.score import Scorer
from hvdtma.runs.event_log import end_event
from hvdtma.runs.run_folder import RunFolder, read_model
from hvdtma.tasks import metric_facts
from hvdtma.training.callback import Callback, Callbacks
from hvdtma.training.checkpoint import is_saved, write_checkpoint
from hvdtma.training.loop import announce_assignment, train_rounds
from hvdtma.training.lost import explained
from hvdtma.training.membership import regroup
from hvdtma.training.monitor import RunMonitor
from hvdtma.training.precision import training_precision
from hvdtma.training.profiler import profiling
from hvdtma.training.recorder import Recorder
from hvdtma.training.scores import scoring_text, skipped_rounds
from hvdtma.training.start import RunContext, StartMode, start_run
from hvdtma.training.trainer import Trainer


def train(
    config: TrainConfig,
    comm: Communicator,
    *,
    mode: StartMode = StartMode.NEW,
    shutdown: ShutdownSignal | None = None,
    report: Callable[[Path], object] = lambda _: None,
    callbacks: Sequence[Callback] = (),
) -> dict | None:
    """Train as one of `comm.size` trainers. Returns the summary on rank 0, None on other ranks.

    Returns None on all ranks if the run was complete before (`StartMode.AUTO`).

    Args:
        shutdown: its signal makes all trainers save and end.
        report: called on rank 0 with the run's folder when the run has ended, even if it failed
            (`hvdtma.runs.report.write_report`).
        callbacks: called on this trainer, after the run's own callback.

    Raises UserError on every trainer if the config or the store does not suit one of them,
    NonFiniteLoss if training diverges, and Interrupted once an interrupted run is saved.
    """
    try:
        return _train(config, comm, mode, shutdown or ShutdownSignal(), report, callbacks)
    except UserError as error:
        if comm.elastic and not isinstance(error, TrainerError):
            with suppress(RendezvousGone):  # a restarted trainer would fail in the same way
                comm.leave()
        raise


def _train(
    config: TrainConfig,
    comm: Communicator,
    mode: StartMode,
    shutdown: ShutdownSignal,
    report: Callable[[Path], object],
    callbacks: Sequence[Callback],
) -> dict | None:
    start = time.monotonic()
    try:
        with shutdown.raise_on_signal(
            Interrupted("interrupted before training began; nothing is lost")
        ):
            context = start_run(config, comm, mode)
    except TooFewTrainers as error:
        raise Interrupted(f"{error}; nothing was trained since the last checkpoint") from error
    if context is None:
        _report_complete(config, comm)
        return None
    run, trainer, averaging, _ = context
    shutdown.on_signal(lambda: averaging.stop(Stop.INTERRUPTED))
    profiled = config.profile if comm.rank == 0 else 0
    with (
        RunMonitor(trainer, averaging, run, report) as monitor,
        profiling(profiled, run.path / "profile.json") as profilers,
    ):
        all_callbacks = Callbacks([monitor, *profilers, *callbacks])
        try:
            summary = _train_and_score(context, monitor, all_callbacks, start, shutdown)
        except Interrupted as error:
            _record_end(monitor, "interrupted", str(error))
            raise
        except Exception as error:
            _record_end(monitor, **end_event(error))
            raise
        except KeyboardInterrupt:
            why = f"interrupted after round {averaging.rounds_done}"
            _record_end(monitor, "failed", why)
            if comm.rank == 0:
                console.print(f"{why}; report: {run.path / 'report.html'}")
            raise
    monitor.report()
    return summary


def _report_complete(config: TrainConfig, comm: Communicator) -> None:
    """Say that the run was complete before."""
    if comm.rank == 0:
        console.print(f"{config.run} is complete; report: {config.run / 'report.html'}")
    if comm.elastic:
        comm.leave()


def _record_end(monitor: RunMonitor, kind: str, why: str) -> None:
    """Record why training ends, if possible: the reason may be a full disk."""
    with suppress(UserError):
        monitor.event({"kind": kind, "why": why})
    with suppress(OSError):
        monitor.report()


def _train_and_score(
    context: RunContext,
    monitor: RunMonitor,
    callback: Callback,
    start: float,
    shutdown: ShutdownSignal,
) -> dict | None:
    """Train and score; regroup when trainers are lost or join. Returns the summary on rank 0."""
    run, trainer, averaging, joined = context
    reason: RegroupNeeded | None = None
    num_trainers = averaging.comm.size
    while True:
        try:
            if reason is not None:
                lost = isinstance(reason, TrainerLost)
                change = regroup(trainer, averaging, run.path, lost=lost, before=num_trainers)
                num_trainers = change.trainers
                monitor.record_membership_change(change)
            elif not joined:
                announce_assignment(trainer, averaging, callback)
            with training_precision(trainer.config, trainer.device):
                train_rounds(trainer, averaging, callback)
            if averaging.stopped is Stop.INTERRUPTED:
                _save_and_stop(trainer, averaging, run)
            if not run_on_rank0(averaging.comm, lambda: is_saved(run, averaging)):
                write_checkpoint(run, trainer, averaging)  # scoring may be interrupted
            message = f"interrupted while scoring; resume with: {_resume_command(trainer.config)}"
            with shutdown.raise_on_signal(Interrupted(message)):
                return _finish(trainer, averaging, monitor, start)
        except TooFewTrainers as error:
            _save_for_all(context, error)
        except RegroupNeeded as error:
            if not averaging.comm.elastic:
                if isinstance(error, TrainerLost):
                    raise explained(error, monitor.roll_call, run) from error
                raise
            reason = error


def _save_and_stop(trainer: Trainer, averaging: TimedAveraging, run: RunFolder) -> NoReturn:
    """Write a checkpoint in the middle of a round, and raise Interrupted. Collective."""
    write_checkpoint(run, trainer, averaging)
    if averaging.comm.elastic:
        averaging.comm.leave()
    raise Interrupted(
        f"interrupted after round {averaging.rounds_done} and saved; "
        f"resume with: {_resume_command(trainer.config)}"
    )


def _resume_command(config: TrainConfig) -> str:
    """The command that resumes a run."""
    if config.elastic:
        return f"hvdtma drive {config.run / 'config.yaml'} --or-resume"
    return f"hvdtma train --resume {config.run}"


def _save_for_all(context: RunContext, error: TooFewTrainers) -> NoReturn:
    """Write a checkpoint on one trainer for all that are left, and raise Interrupted."""
    run, trainer, averaging, _ = context
    if not error.saves_for_all:
        raise Interrupted(f"{error}; another trainer saves") from error
    averaging.comm = SingleProcess()
    write_checkpoint(run, trainer, averaging)
    raise SavedForAll(
        f"{error}; saved after round {averaging.rounds_done}, "
        f"resume with: {_resume_command(trainer.config)}"
    ) from error


def _finish(
    trainer: Trainer, averaging: TimedAveraging, monitor: RunMonitor, start: float
) -> dict | None:
    """Score and summarize on rank 0. In an elastic run, the other ranks wait for it. Collective."""
    comm = averaging.comm
    totals = comm.all_gather_object(_totals(trainer, averaging))
    trainer.release_shard()  # scoring needs the memory
    summary = None
    if monitor.recorder:
        summary = _score_and_summarize(trainer, averaging, monitor.recorder, totals, start)
    if comm.elastic:
        comm.all_gather_object(None)
        comm.leave()
    return summary


@dataclass(frozen=True)
class TrainerTotals:
    """Totals of one trainer over a whole run; times in seconds.

    Attributes:
        nodes, edges: size of its whole shard in the last assignment. `edges` is an estimate until
            every resident set was read.
        sets: number of resident sets of its shard.
    """

    trainer: int
    nodes: int
    edges: int
    sets: int
    steps: int
    positives: int
    train_s: float
    wait_s: float
    aggregate_s: float
    elapsed_s: float
    peak_rss_bytes: int
    wait_for_data_s: float
    bytes_read: int
    read_s: float

    def as_dict(self) -> dict:
        return vars(self) | {
            "positives_per_s": self.positives / max(self.train_s, 1e-9),
            "read_bytes_per_s": self.bytes_read / max(self.read_s, 1e-9),
        }


def _totals(trainer: Trainer, averaging: TimedAveraging) -> TrainerTotals:
    assigned = trainer.assigned.size
    return TrainerTotals(
        trainer=averaging.comm.rank,
        nodes=assigned.num_nodes,
        edges=assigned.num_edges,
        sets=trainer.sets.num_sets if trainer.sets else 0,
        steps=averaging.steps_done,
        positives=averaging.examples_done,
        train_s=averaging.train_s,
        wait_s=averaging.wait_s,
        aggregate_s=averaging.aggregate_s,
        elapsed_s=averaging.elapsed_s,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        wait_for_data_s=trainer.wait_for_data_s,
        bytes_read=trainer.reader.bytes_read,
        read_s=trainer.reader.read_s,
    )


def _score_and_summarize(
    trainer: Trainer,
    averaging: TimedAveraging,
    recorder: Recorder,
    totals: list[TrainerTotals],
    start: float,
) -> dict:
    """Score the remaining rounds, test the best round, and write the summary."""
    config, run, rounds = trainer.config, recorder.run, averaging.rounds_done
    try:
        test, skipped = _score_remaining(trainer, recorder, rounds)
    except UserError as error:
        raise UserError(
            f"training is complete, but scoring failed: {error}. The parameters of the last rounds "
            f"are kept. Once the problem is solved, score them with: hvdtma evaluate {run.path}"
        ) from error
    elapsed_s = sum(total.elapsed_s for total in totals)
    summary = {
        "method": trainer.store.attrs["order"]["method"],
        "trainers": len(totals),
        "interval_s": config.interval_s,
        "interval_steps": config.interval_steps,
        "first_hop": config.first_hop,
        "rounds": rounds,
        "stopped": averaging.stopped.words,
        "time_s": averaging.elapsed_s,
        **metric_facts(config, trainer.task),
        "best_round": test["round"],
        "valid": _validation_scores(run, test["round"]),
        "test": test["metrics"],
        "scored_sample": config.evaluate.sample or None,
        "wall_s": time.monotonic() - start,
        "share_not_training": 1 - sum(total.train_s for total in totals) / max(elapsed_s, 1e-9),
        "skipped_rounds": skipped,
        "per_trainer": [total.as_dict() for total in totals],
    }
    write_json(run.summary, summary)
    return summary


def _score_remaining(
    trainer: Trainer, recorder: Recorder, rounds: int
) -> tuple[dict[str, Any], list[int]]:
    """The test score of the best round as an event, and the rounds that were never scored."""
    config, run = trainer.config, recorder.run
    recorder.log_scores(recorder.scores.finish(rounds, recorder.view.phase))
    skipped = skipped_rounds(run, rounds, config.evaluate.every)
    if skipped:
        recorder.event({"kind": "skipped", "rounds": skipped})
    facts = read_model(run.best, trainer.model)
    recorder.view.phase(scoring_text(int(facts["round"]), "test", left=0))
    test: dict[str, Any] = {
        "kind": "score",
        "part": "test",
        "round": int(facts["round"]),
        "time_s": float(facts["time_s"]),
        "metrics": Scorer(config, trainer.store, trainer.device)(trainer.model, "test"),
    }
    recorder.log_scores([test])
    return test, skipped


def _validation_scores(run: RunFolder, number: int) -> dict[str, float]:
    """The validation metrics of a round."""
    events = [e for e in run.events() if e["kind"] == "score" and e["part"] == "valid"]
    return next(e["metrics"] for e in reversed(events) if e["round"] == number)
