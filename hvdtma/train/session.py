"""A training run from config to summary, as every trainer goes through it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import torch

from hvdtma.aggregate import Average, Nesterov, NonFiniteLoss, TimedAveraging
from hvdtma.comm.communicator import Communicator, everywhere, on_root
from hvdtma.config import TrainConfig
from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.evaluate.score import Scorer
from hvdtma.evaluate.scratch import check_scoring_scratch
from hvdtma.files import write_json
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.tasks import make_model, make_task
from hvdtma.train.live import LiveView
from hvdtma.train.loop import Trainer, Watch, announce_deal, hand_weight, train_rounds
from hvdtma.train.memory import check_memory
from hvdtma.train.optimizers import make_optimizer
from hvdtma.train.recorder import Recorder, skipped_rounds
from hvdtma.train.run_folder import RunFolder, read_model


def train(
    config: TrainConfig,
    comm: Communicator,
    *,
    overwrite: bool = False,
    report: Callable[[Path], object] = lambda _: None,
) -> dict | None:
    """Train as one of `comm.size` trainers; the summary on trainer 0, None on the others.

    Args:
        report: called by trainer 0 with the run's folder when the run is over, also when it
            failed (`hvdtma.report.write_report`).

    Raises UserError, on every trainer, for anything in the config or the store that does not fit
    one of them; NonFiniteLoss when training diverged.
    """
    start = time.monotonic()
    if config.trainers is not None and config.trainers != comm.size:
        raise UserError(
            f"the config asks for {config.trainers} trainers, the launcher started {comm.size}; "
            f"use horovodrun -np {config.trainers}, or --in-process {config.trainers}"
        )
    trainer = everywhere(comm, lambda: set_up(config, comm))
    if not any(comm.gather(trainer.batches is not None)):
        raise UserError(f"no trainer has anything to train on in {config.store}")
    store = trainer.store
    run = on_root(comm, lambda: RunFolder.create(config, store, overwrite=overwrite).path)
    averaging = make_averaging(trainer, comm)
    if comm.rank != 0:
        _train(trainer, averaging, Watch())
        return None
    with LiveView() as view, Recorder(trainer, comm.size, RunFolder(run), view) as recorder:
        try:
            totals = _train(trainer, averaging, recorder)
            summary = _finish(trainer, averaging, recorder, totals, start)
        except (NonFiniteLoss, UserError) as error:
            recorder.event({"kind": "failed", "why": str(error)})
            report(run)
            raise
        except KeyboardInterrupt:
            why = f"interrupted after round {averaging.rounds_done}"
            recorder.event({"kind": "failed", "why": why})
            report(run)
            console.print(f"{why}; its report: {run / 'report.html'}")
            raise
    report(run)
    return summary


def _train(trainer: Trainer, averaging: TimedAveraging, watch: Watch) -> list[Totals]:
    """Every trainer's part; what each did in all."""
    announce_deal(trainer, averaging, watch, 0)
    train_rounds(trainer, averaging, watch)
    return averaging.comm.gather(_totals(trainer, averaging))


def set_up(config: TrainConfig, comm: Communicator) -> Trainer:
    """What a trainer does before it meets the others; raises UserError for what does not fit."""
    device = set_up_device(config, comm)
    store = open_store(config.store)
    check_memory(config, store, comm.size)
    if comm.rank == 0:  # what scoring lacks is found before training, not after
        check_scoring_scratch(config, store)
        Scorer(config, store)
    return make_trainer(config, store, comm, device)


def set_up_device(config: TrainConfig, comm: Communicator) -> torch.device:
    """This trainer's device, with its share of the machine's cores."""
    cores = len(os.sched_getaffinity(0))
    threads = config.threads or max(1, cores // comm.local_size)
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    torch.set_num_threads(threads)  # after Numba, whose start sets OpenMP's number for both
    wanted = config.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but PyTorch finds no GPU; use device=cpu or auto")
    if wanted == "cpu" and config.precision == "bfloat16":
        raise UserError("precision bfloat16 needs a GPU; use precision=float32")
    if wanted == "cpu":
        return torch.device("cpu")
    device = torch.device("cuda", comm.local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)  # Horovod and NCCL work on the current one
    return device


def make_trainer(
    config: TrainConfig, store: GraphStore, comm: Communicator, device: torch.device
) -> Trainer:
    """A trainer with its first deal."""
    task = make_task(config, store)
    model = make_model(config, store, task).to(device)
    optimizer = make_optimizer(config.optimizer, model)
    torch.manual_seed(config.seed * 1_000_003 + comm.rank)  # dropout differs between trainers
    trainer = Trainer(config, store, task, model, optimizer, comm.rank, comm.size, device)
    trainer.take_deal(0)
    return trainer


def make_averaging(trainer: Trainer, comm: Communicator) -> TimedAveraging:
    """The averaging that the trainer's config asks for."""
    config = trainer.config
    outer: Average | Nesterov = Average()
    if config.aggregate.outer == "nesterov":
        outer = Nesterov(config.aggregate.outer_lr, config.aggregate.outer_momentum)
    return TimedAveraging(
        trainer.model,
        trainer.optimizer,
        interval_s=config.interval_s,
        interval_steps=config.interval_steps,
        rounds=config.rounds,
        time_limit_s=config.time_limit_s,
        weight=hand_weight(trainer),
        optimizer_state=config.aggregate.optimizer_state,
        outer=outer,
        comm=comm,
    )


@dataclass(frozen=True)
class Totals:
    """What one trainer did in a whole run; times in seconds.

    Attributes:
        nodes, edges: of the last deal's whole hand, whatever part of it was in memory at once; the
            edges are an estimate until every resident set was read.
        sets: resident sets that it was cut into.
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


def _totals(trainer: Trainer, averaging: TimedAveraging) -> Totals:
    assert trainer.sets is not None
    dealt = trainer.dealt.size
    return Totals(
        trainer=averaging.comm.rank,
        nodes=dealt.num_nodes,
        edges=dealt.num_edges,
        sets=trainer.sets.num_sets,
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


def _finish(
    trainer: Trainer,
    averaging: TimedAveraging,
    recorder: Recorder,
    totals: list[Totals],
    start: float,
) -> dict:
    """Score what is left, test the best round, write the summary."""
    config, run, rounds = trainer.config, recorder.run, averaging.rounds_done
    trainer.let_go()  # scoring needs the memory
    try:
        test, skipped = _score_what_is_left(trainer, recorder, rounds)
    except UserError as error:
        raise UserError(
            f"training is over, but scoring failed: {error}. The parameters of the last rounds are "
            f"kept; when this is mended, score them with: hvdtma evaluate {run.path}"
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
        "metric": config.metric,
        "best_round": test["round"],
        "valid": _scores_of(run, test["round"]),
        "test": test["metrics"],
        "scored_sample": config.evaluate.sample or None,
        "wall_s": time.monotonic() - start,
        "share_not_training": 1 - sum(total.train_s for total in totals) / max(elapsed_s, 1e-9),
        "skipped_rounds": skipped,
        "per_trainer": [total.as_dict() for total in totals],
    }
    write_json(run.summary, summary)
    return summary


def _score_what_is_left(
    trainer: Trainer, recorder: Recorder, rounds: int
) -> tuple[dict[str, Any], list[int]]:
    """The best round's test score as an event, and the rounds that were never scored."""
    config, run = trainer.config, recorder.run
    recorder.log_scores(recorder.scores.finish(rounds))
    skipped = skipped_rounds(run, rounds, config.evaluate.every)
    if skipped:
        recorder.event({"kind": "skipped", "rounds": skipped})
    facts = read_model(run.best, trainer.model)
    test: dict[str, Any] = {
        "kind": "score",
        "part": "test",
        "round": int(facts["round"]),
        "time_s": float(facts["time_s"]),
        "metrics": Scorer(config, trainer.store, trainer.device)(trainer.model, "test"),
    }
    recorder.log_scores([test])
    return test, skipped


def _scores_of(run: RunFolder, number: int) -> dict[str, float]:
    """The validation metrics of a round."""
    events = [e for e in run.events() if e["kind"] == "score" and e["part"] == "valid"]
    return next(e["metrics"] for e in reversed(events) if e["round"] == number)
