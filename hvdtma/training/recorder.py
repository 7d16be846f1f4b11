"""Rank 0's record of a run: parameters, events, values for loggers, live view."""

from __future__ import annotations

import json
import math
from statistics import fmean

import torch

from hvdtma.aggregate import Aggregation, TimedAveraging
from hvdtma.core.config import flattened
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.event_log import EventLog
from hvdtma.runs.loggers import LoggedRun, make_loggers
from hvdtma.runs.run_folder import RunFolder
from hvdtma.runs.view import RunView, Tick
from hvdtma.tasks import best_metric, metric_facts
from hvdtma.training.callback import Callback
from hvdtma.training.scores import Scores
from hvdtma.training.trainer import Trainer


class Recorder(Callback):
    """Records a run on rank 0: writes parameters and events, feeds loggers. A context manager."""

    def __init__(self, trainer: Trainer, trainers: int, run: RunFolder, view: RunView):
        self.config, self.run, self.model = trainer.config, run, trainer.model
        self.optimizer = trainer.optimizer
        self.view, self.num_edges = view, trainer.store.num_edges
        events = run.events()
        rounds = [event["round"] for event in events if event["kind"] == "round"]
        metric = best_metric(self.config, trainer.task)
        first_step = max(rounds) + 1 if rounds else None
        self.log = EventLog(
            run,
            view.update,
            loggers=make_loggers(self.config),
            logged=logged_run(self.config, metric.name, first_step),
        )
        self.scores = Scores(self.config, run, metric)
        if not events:
            self.event(start_event(trainer, trainers))
        for event in events:  # of a resumed run
            self.view.replay(event)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.scores.stop()
        self.log.__exit__(*error)

    def event(self, event: dict) -> None:
        """Log an event and show it.

        Raises UserError if it cannot be written.
        """
        self.log.write(event)

    def on_assignment(self, averaging: TimedAveraging, number: int, trainers: list[dict]) -> None:
        """Record the size of each trainer's shard."""
        edges = sum(share["edges"] for share in trainers)
        self.event(
            {
                "kind": "assignment",
                "assignment": number,
                "round": averaging.rounds_done + 1,
                "time_s": averaging.elapsed_s,
                "edges_kept": min(edges / max(self.num_edges, 1), 1.0),  # some are estimates
                "trainers": trainers,
            }
        )

    def on_step(self, averaging: TimedAveraging) -> None:
        """Show the progress of the round."""
        now = averaging.comm.clock()
        limit = self.config.time_limit_s
        self.view.tick(
            Tick(
                round=averaging.rounds_done + 1,
                time_left_s=None if averaging.interval_steps else averaging.deadline - now,
                steps=averaging.round.steps,
                loss=averaging.round.last_loss,
                total_left_s=limit and averaging.began + limit - now,
            )
        )

    def on_round(self, outcome: Aggregation, mean: dict[str, torch.Tensor] | None = None) -> bool:
        """Record an aggregation. Returns whether the scores say to stop early.

        Args:
            mean: the exponential mean of the aggregated parameters, by name.
        """
        keep = self.config.evaluate.keep
        self.run.write_round(outcome.round, outcome.time_s, self.model, keep, mean)
        self.event(round_event(outcome))
        self.log.values(round_values(outcome, self.optimizer.param_groups[0]["lr"]), outcome.round)
        self.log_scores(self.scores.after_round(outcome.round))
        return self.scores.stop_early

    def log_scores(self, events: list[dict]) -> None:
        for event in events:
            self.event(event)
            scores = {f"{event['part']}/{name}": value for name, value in event["metrics"].items()}
            self.log.values(scores, event["round"])


def logged_run(config: TrainConfig, metric: str, first_step: int | None) -> LoggedRun:
    """The facts about a run for its loggers."""
    settings = flattened(config.model_dump(mode="json"))
    plain = {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for key, value in settings.items()
    }
    return LoggedRun(config.run, plain, (f"valid/{metric}", f"test/{metric}"), first_step)


def round_values(outcome: Aggregation, learning_rate: float) -> dict[str, float]:
    """The values of an aggregation for loggers; those of a trainer have its number."""
    losses = [loss for loss in outcome.losses if math.isfinite(loss)]
    values = {"loss/mean": fmean(losses) if losses else math.nan, "lr": learning_rate}
    for name, of_trainers in (
        ("loss", outcome.losses),
        ("steps", outcome.steps),
        ("wait_s", outcome.wait_s),
    ):
        values |= {f"{name}/trainer_{k}": value for k, value in enumerate(of_trainers)}
    return values


def start_event(trainer: Trainer, trainers: int) -> dict:
    """The first event of a run: its sizes and settings."""
    config, store = trainer.config, trainer.store
    return {
        "kind": "start",
        "time_s": 0.0,
        "trainers": trainers,
        "method": store.attrs["order"]["method"],
        **metric_facts(config, trainer.task),
        "store": str(store.path),
        "num_nodes": store.num_nodes,
        "num_edges": store.num_edges,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "interval_s": config.interval_s,
        "interval_steps": config.interval_steps,
    }


def round_event(outcome: Aggregation) -> dict:
    """The event of an aggregation."""
    rows = zip(
        outcome.steps,
        outcome.examples,
        outcome.losses,
        outcome.train_s,
        outcome.wait_s,
        outcome.weights,
        strict=True,
    )
    names = ("steps", "positives", "loss", "train_s", "wait_s", "weight")
    return {
        "kind": "round",
        "round": outcome.round,
        "time_s": outcome.time_s,
        "aggregate_s": outcome.aggregate_s,
        "trainers": [dict(zip(names, row, strict=True)) for row in rows],
    }
