"""Events of metrics.jsonl in words: whole lines for a log, and the parts a live view shows."""

from __future__ import annotations

import math
from statistics import fmean, median
from typing import TypeGuard

SHOWN_TRAINERS = 8  # more are summed up as a range


def line(event: dict) -> str:
    """Write an event as one line; empty for kinds that are not shown."""
    match event:
        case {"kind": "start"}:
            return headline(event)
        case {"kind": "assignment"}:
            return assignment(event)
        case {"kind": "round"}:
            return (
                f"round {event['round']}: {event['time_s']:.1f} s, loss {mean_loss(event)}, "
                f"{steps(event)} steps, {wait(event)}"
            )
        case {"kind": "score"}:
            return f"{event['part']} after round {event['round']}: {metrics(event)}"
        case {"kind": "members"}:
            return members(event)
        case {"kind": "skipped", "rounds": [_, *_]}:
            return f"not scored: rounds {', '.join(map(str, event['rounds']))}"
    return ""


def assignment(event: dict) -> str:
    """Say what share of the edges trainers see, and what part of it at a time."""
    rows, kept = event["trainers"], event["edges_kept"]
    said = f"assignment {event['assignment']}: {kept:.1%} of edges kept"
    sets = max(row.get("sets", 1) for row in rows)
    if sets == 1:
        return said
    resident = sum(row["resident_edges"] for row in rows)
    share = resident / max(sum(row["edges"] for row in rows), 1)
    return f"{said}, {kept * share:.1%} at once in resident sets of 1/{sets} of a shard"


def members(event: dict) -> str:
    """Say who was lost and who joined."""
    changed = [f"{event[what]} {what}" for what in ("lost", "joined") if event[what]]
    now = f"{event['trainers']} trainer{'s' if event['trainers'] != 1 else ''} now"
    return f"{', '.join(changed) or 'none lost'}: {now}; regrouped in {event['took_s']:.1f} s"


def headline(start: dict) -> str:
    """Say what is about to run."""
    every_steps, every_s = start.get("interval_steps"), start.get("interval_s")
    every = f"{every_steps} steps" if every_steps else f"{every_s or 0:g} s"
    trainers = f"{start['trainers']} trainer{'s' if start['trainers'] != 1 else ''}"
    return (
        f"{trainers}, {start['method']}, averaged every {every}, {start['store']}, "
        f"{start['parameters']:,} parameters"
    )


def metrics(score: dict) -> str:
    """List the metrics of a score."""
    known = {name: value for name, value in score["metrics"].items() if is_number(value)}
    return ", ".join(f"{name} {value:.4f}" for name, value in known.items())


def mean_loss(round_event: dict) -> str:
    """Average the loss over trainers that have one."""
    losses = [entry["loss"] for entry in round_event["trainers"] if is_number(entry["loss"])]
    return f"{fmean(losses):.4f}" if losses else "not a number"


def steps(round_event: dict) -> str:
    """List the steps of each trainer, or the range over many."""
    made = [entry["steps"] for entry in round_event["trainers"]]
    if len(made) <= SHOWN_TRAINERS:
        return " ".join(map(str, made))
    return f"{min(made)} to {max(made)} (median {median(made):.0f})"


def wait(round_event: dict) -> str:
    """Say what the aggregation at a round's end took."""
    longest = max(entry["wait_s"] for entry in round_event["trainers"])
    return f"waited {longest:.2f} s at most, averaged in {round_event['aggregate_s']:.2f} s"


def is_number(value: float | None) -> TypeGuard[float]:
    """Tell whether a loss or a metric is there and finite."""
    return value is not None and math.isfinite(value)
