"""Figures of a run's report: scores and losses over training time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from hvdtma.runs.report import words
from hvdtma.runs.report.plots import MANY_ROUNDS, QUIET, Plot, colour, in_unit, layout
from hvdtma.runs.report.score_curve import ScoreCurve
from hypergraph.report.log import FitLog

LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def colour_of(log: FitLog, modality: str) -> str:
    """The colour of a modality, the same in every figure and table."""
    names = list(log.modalities)
    return colour(names.index(modality) if modality in names else len(names))


def overall(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics over all modalities."""
    return {metric: value for metric, value in metrics.items() if "/" not in metric}


def by_modality(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """Modality -> metric -> value, of metrics with a modality in their name (`mrr/artist`)."""
    found: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        metric, slash, name = key.partition("/")
        if slash:
            found.setdefault(name, {})[metric] = value
    return found


def score_plot(log: FitLog) -> Plot | None:
    """Validation scores over training time, with a button per metric; None without scores."""
    scored = [event for event in log.scores if event["valid"]]
    if not scored:
        return None
    curve = ScoreCurve(
        counted="iteration",
        numbers=[event["iteration"] for event in scored],
        times_s=[event["time_s"] for event in scored],
        valid=[overall(event["valid"]) for event in scored],
        metric=log.metric,
        best=None if log.best is None else scored.index(log.scores[log.best]),
        test=overall(log.test),
    )
    return curve.plot("Scored on validation hyperedges.")


def completion_plot(log: FitLog) -> Plot | None:
    """Validation scores by completed modality over training time; None without such scores."""
    scored = [event for event in log.scores if by_modality(event["valid"])]
    if not scored:
        return None
    times, unit = in_unit([event["time_s"] for event in scored])
    each = [by_modality(event["valid"]) for event in scored]
    numbers = [event["iteration"] for event in scored]
    traces: list[go.Scatter] = []
    choices: dict[str, list[int]] = {}
    for metric in next(iter(each[0].values())):
        first = len(traces)
        for name in each[0]:
            values = [scores.get(name, {}).get(metric) for scores in each]
            trace = _line(name, times, values, numbers, colour_of(log, name))
            traces.append(trace.update(visible=not choices))
        choices[words.metric_name(metric)] = list(range(first, len(traces)))
    figure = go.Figure(traces, _over_time(unit))
    caption = (
        "The item of a modality is hidden, and all items of the modality are ranked in its place."
    )
    return Plot("Score by completed modality", caption, figure, wide=True, choices=choices)


def loss_plot(log: FitLog) -> Plot | None:
    """The loss over training time, with its terms; None before the first score."""
    if not log.scores:
        return None
    times, unit = in_unit([event["time_s"] for event in log.scores])
    numbers = [event["iteration"] for event in log.scores]
    terms = list(dict.fromkeys(term for event in log.scores for term in event["losses"]))
    total = [event["loss"] for event in log.scores]
    lines = [_line("loss", times, _positive(total), numbers, QUIET, width=4)]
    for term in terms if len(terms) > 1 else []:
        values = [event["losses"].get(term) for event in log.scores]
        named = f"relation {term}" if term in log.start.get("relations", {}) else term
        lines.append(_line(named, times, _positive(values), numbers, _of_term(log, term)))
    drawn = [value for line in lines for value in line.y if value]
    many = bool(drawn) and max(drawn) > 100 * min(drawn)
    log_axis = {"type": "log", "tickformat": "~g", "dtick": 1 if many else None}
    figure = go.Figure(lines, _over_time(unit, **log_axis))
    figure.update_layout(showlegend=len(lines) > 1)
    caption = "At each score, the loss of one batch of each relation that is trained."
    if len(lines) > 1:
        caption += " Thin lines: its terms."
    return Plot("Loss over training time", caption, figure, wide=True)


def _line(
    name: str,
    times: Sequence[float],
    values: Sequence[float | None],
    iterations: Sequence[int],
    hue: str,
    *,
    width: float = 2,
) -> go.Scatter:
    return go.Scatter(
        x=list(times),
        y=list(values),
        name=name,
        customdata=list(iterations),
        mode="lines" if len(times) > MANY_ROUNDS else "lines+markers",
        line={"color": hue, "width": width},
        marker={"size": 3 + width},
        hovertemplate=f"iteration %{{customdata}}<br>{name} %{{y:.4~g}}<extra></extra>",
    )


def _over_time(unit: str, **axis_y: Any) -> go.Layout:
    found = layout(f"training time, {unit}", height=360, **axis_y)
    return found.update(hovermode="closest", showlegend=True, legend=LEGEND)


def _of_term(log: FitLog, term: str) -> str:
    """The colour of a term: relations follow the modalities; smoothness has its modality's."""
    modalities, relations = list(log.modalities), list(log.start.get("relations", {}))
    if term in relations:
        return colour(len(modalities) + relations.index(term))
    return colour_of(log, term.removeprefix("smoothness of "))


def _positive(values: Sequence[float | None]) -> list[float | None]:
    """The values; those without a logarithm become gaps."""
    return [value if value and value > 0 else None for value in values]
