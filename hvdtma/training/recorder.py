"""Rank 0's record of a run: parameters, events, TensorBoard curves, live view."""

from __future__ import annotations

import torch

from hvdtma.aggregate import Aggregation, TimedAveraging
from hvdtma.runs.event_log import EventLog
from hvdtma.runs.run_folder import RunFolder
from hvdtma.runs.view import RunView, Tick
from hvdtma.tasks import best_metric, metric_facts
from hvdtma.training.callback import Callback
from hvdtma.training.scores import Scores
from hvdtma.training.trainer import Trainer


class Recorder(Callback):
    """Records a run on rank 0: writes parameters and events, draws curves. A context manager."""

    def __init__(self, trainer: Trainer, trainers: int, run: RunFolder, view: RunView):
        self.config, self.run, self.model = trainer.config, run, trainer.model
        self.view, self.num_edges = view, trainer.store.num_edges
        events = run.events()
        rounds = [event["round"] for event in events if event["kind"] == "round"]
        self.log = EventLog(run, view.update, first_step=max(rounds) + 1 if rounds else None)
        self.scores = Scores(self.config, run, best_metric(self.config, trainer.task))
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
        for trainer, loss in enumerate(outcome.losses):
            values = {
                f"loss/trainer_{trainer}": loss,
                f"steps/trainer_{trainer}": outcome.steps[trainer],
                f"wait_s/trainer_{trainer}": outcome.wait_s[trainer],
            }
            self.log.curves(values, outcome.round)
        self.log_scores(self.scores.after_round(outcome.round))
        return self.scores.stop_early

    def log_scores(self, events: list[dict]) -> None:
        for event in events:
            self.event(event)
            scores = {f"{event['part']}/{name}": value for name, value in event["metrics"].items()}
            self.log.curves(scores, event["round"])


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
