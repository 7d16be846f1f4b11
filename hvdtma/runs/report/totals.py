"""Totals of each trainer over a run: from the summary, or summed up while there is none."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from hvdtma.runs.report.run_log import RunLog


@dataclass(frozen=True)
class RunTotals:
    """Totals of one trainer over all rounds; None for values that are not recorded."""

    trainer: int
    nodes: int | None = None
    edges: int | None = None
    sets: int | None = None
    steps: int = 0
    positives: int = 0
    positives_per_s: float = 0.0
    train_s: float = 0.0
    wait_s: float = 0.0
    aggregate_s: float = 0.0
    wait_for_data_s: float | None = None
    bytes_read: int | None = None
    peak_rss_bytes: int | None = None


def totals(log: RunLog) -> list[RunTotals]:
    """One entry per trainer; none if the run has neither a summary nor a round."""
    if log.summary.get("per_trainer"):
        names = {field.name for field in fields(RunTotals)}
        return [
            RunTotals(**{name: value for name, value in entry.items() if name in names})
            for entry in log.summary["per_trainer"]
        ]
    return [_added_up(log, trainer) for trainer in range(log.trainers)] if log.rounds else []


def _added_up(log: RunLog, trainer: int) -> RunTotals:
    def total(key: str) -> float:
        return float(np.nansum(log.of_trainers(log.rounds, key)[:, trainer]))

    rows = log.assignments[-1]["trainers"] if log.assignments else []
    row = rows[trainer] if trainer < len(rows) else {}
    train_s = total("train_s")
    return RunTotals(
        trainer=trainer,
        nodes=row.get("nodes"),
        edges=row.get("edges"),
        sets=row.get("sets"),
        steps=int(total("steps")),
        positives=int(total("positives")),
        positives_per_s=total("positives") / train_s if train_s > 0 else 0.0,
        train_s=train_s,
        wait_s=total("wait_s"),
        aggregate_s=float(sum(log.of_rounds("aggregate_s"))),
    )
