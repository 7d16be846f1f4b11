"""Events of metrics.jsonl in words: lines of a log, and the rows of the live view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import TypeGuard

SHOWN_TRAINERS = 8  # for more trainers, a range is shown
SHOWN_RANGES = 10  # of rounds that were not scored


def line(event: dict) -> str:
    """Write an event as one line; empty for kinds that are not shown."""
    match event:
        case {"kind": "start"}:
            return headline(event)
        case {"kind": "assignment"}:
            return assignment(event)
        case {"kind": "round"}:
            return rounds([event])
        case {"kind": "score"}:
            return f"{event['part']} after {score(event)}"
        case {"kind": "members"}:
            return members(event)
        case {"kind": "skipped", "rounds": [_, *_]}:
            return skipped(event)
    return ""


def headline(start: dict) -> str:
    """Describe the run at its start."""
    every_steps, every_s = start.get("interval_steps"), start.get("interval_s")
    every = f"{every_steps} steps" if every_steps else f"{every_s or 0:g} s"
    trainers = f"{start['trainers']} trainer{'s' if start['trainers'] != 1 else ''}"
    return (
        f"{trainers}, {start['method']}, averaged every {every}, {start['store']}, "
        f"{start['parameters']:,} parameters"
    )


def assignment(event: dict) -> str:
    """Write the share of edges that the trainers see, in all and at a time."""
    rows, kept = event["trainers"], event["edges_kept"]
    text = f"assignment {event['assignment']}: {kept:.1%} of edges kept"
    sets = max(row.get("sets", 1) for row in rows)
    if sets == 1:
        return text
    resident = sum(row["resident_edges"] for row in rows)
    share = resident / max(sum(row["edges"] for row in rows), 1)
    return f"{text}, {kept * share:.1%} at once in resident sets of 1/{sets} of a shard"


def members(event: dict) -> str:
    """Write how many trainers were lost and joined."""
    changed = [f"{event[what]} {what}" for what in ("lost", "joined") if event[what]]
    now = f"{event['trainers']} trainer{'s' if event['trainers'] != 1 else ''} now"
    return f"{', '.join(changed) or 'none lost'}: {now}; regrouped in {event['took_s']:.1f} s"


def skipped(event: dict) -> str:
    """Write which rounds were never scored, the first ones as ranges."""
    numbers = event["rounds"]
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    more = ", ..." if len(ranges) > SHOWN_RANGES else ""
    shown = ", ".join("-".join(map(str, ends)) for ends in ranges[:SHOWN_RANGES])
    return f"not scored: {len(numbers)} round{'s' if len(numbers) != 1 else ''} ({shown}{more})"


def rounds(events: Sequence[dict]) -> str:
    """Describe one round, or sum up several: time and loss are those of the last one."""
    first, last = events[0], events[-1]
    numbers = f"round {last['round']}"
    made = steps(last)
    if len(events) > 1:
        numbers = f"rounds {first['round']}-{last['round']}"
        made = _counted(sum(row["steps"] for event in events for row in event["trainers"]))
    waited = max(row["wait_s"] for event in events for row in event["trainers"])
    averaged = max(event["aggregate_s"] for event in events)
    return (
        f"{numbers}: {last['time_s']:.1f} s, loss {mean_loss(last)}, {made}, "
        f"waited {waited:.2f} s at most, averaged in {averaged:.2f} s"
    )


def score(event: dict) -> str:
    """Write the round of a score and its metrics."""
    return f"round {event['round']}: {metrics(event)}{of_mean(event)}"


def of_mean(event: dict) -> str:
    """Write whether a score is of the mean over rounds; empty for runs without a mean."""
    if "is_mean" not in event:
        return ""
    name, value = next(iter(event["beside"].items()))
    other = f"{name} {number_text(value)}" if is_number(value) else f"no {name}"
    if event["is_mean"]:
        return f" of the mean over rounds; {other} without it"
    return f"; {other} of the mean over rounds"


def metrics(event: dict) -> str:
    """Write the metrics of a score; those of single edge types are only in metrics.jsonl."""
    known = {
        name: value
        for name, value in event["metrics"].items()
        if is_number(value) and not _is_of_edge_type(name)
    }
    return ", ".join(f"{name} {number_text(value)}" for name, value in known.items())


def _is_of_edge_type(name: str) -> bool:
    """Whether a metric is one of an edge type, such as `mrr user:buys:item`."""
    return " " in name and name.count(":") > 1


def number_text(value: float) -> str:
    """Write a metric: four decimals, or four digits for large and small numbers."""
    usual = value == 0 or 0.001 <= abs(value) < 100_000
    return f"{value:.4f}" if usual else f"{value:.4g}"


def mean_loss(round_event: dict) -> str:
    """Write the mean loss over the trainers that have one."""
    losses = [entry["loss"] for entry in round_event["trainers"] if is_number(entry["loss"])]
    return f"{fmean(losses):.4f}" if losses else "not a number"


def steps(round_event: dict) -> str:
    """Write the steps of all trainers, and of each one; of many trainers, the range."""
    made = [entry["steps"] for entry in round_event["trainers"]]
    if len(made) == 1:
        return _counted(made[0])
    if len(made) <= SHOWN_TRAINERS:
        return f"{_counted(sum(made))} ({' + '.join(map(str, made))})"
    each = f"{min(made)} to {max(made)} per trainer, median {median(made):.0f}"
    return f"{_counted(sum(made))} ({each})"


def _counted(number: int) -> str:
    return f"{number:,} step{'s' if number != 1 else ''}"


def is_number(value: float | None) -> TypeGuard[float]:
    """Whether a loss or a metric is there and finite."""
    return value is not None and math.isfinite(value)
