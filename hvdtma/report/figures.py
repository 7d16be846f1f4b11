"""The figures of a run's report.

Legend: R rounds, M trainers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hvdtma.report import words
from hvdtma.report.plots import (
    ACCENT,
    COLOURS,
    MANY_ROUNDS,
    MAX_LINES,
    QUIET,
    Plot,
    layout,
    of_known,
    plain,
    trainer_bars,
    trainer_lines,
)
from hvdtma.report.run_log import RunLog

BEST, TEST = COLOURS[1], COLOURS[2]


def score_plot(log: RunLog) -> Plot | None:
    """Draw validation scores over training time, a choice per metric; None without scores."""
    if not log.valid:
        return None
    times, unit = _times([event["time_s"] for event in log.valid])
    found = {metric: None for event in log.valid for metric in event["metrics"]}
    metrics = sorted(found, key=lambda metric: metric != log.metric)  # stable: the main one first
    figure = go.Figure(layout=layout(f"training time, {unit}", height=360))
    choices: dict[str, list[int]] = {}
    for metric in metrics:
        traces = _score_traces(log, metric, times)
        first = len(figure.data)
        figure.add_traces([t.update(visible=metric == metrics[0]) for t in traces])
        choices[words.metric_name(metric)] = list(range(first, len(figure.data)))
    figure.update_layout(hovermode="closest")
    caption = "Each point is an aggregated model, scored on validation by the evaluator."
    if log.test:
        caption += " Dashed: the best one's score on test."
    return Plot("Score over training time", caption, figure, wide=True, choices=choices)


def _score_traces(log: RunLog, metric: str, times: list[float]) -> list[go.Scatter]:
    """Draw the curve, the best round on it, and the test score as a line to hold it against."""
    rounds = [event["round"] for event in log.valid]
    name = words.metric_name(metric)
    curve = go.Scatter(
        x=times,
        y=[event["metrics"].get(metric) for event in log.valid],
        customdata=rounds,
        mode="lines" if len(rounds) > MANY_ROUNDS else "lines+markers",
        line={"color": ACCENT, "width": 2.4},
        marker={"size": 6},
        hovertemplate=f"round %{{customdata}}<br>valid {name} %{{y:.4f}}<extra></extra>",
    )
    best = log.best["metrics"].get(metric) if log.best else None
    best_at = times[rounds.index(log.best["round"])] if log.best else times[-1]
    late = best_at - times[0] >= 0.5 * (times[-1] - times[0])
    traces = [curve]
    if log.test.get(metric) is not None:
        traces += _test_line(times, log.test[metric], named_first=late)
    if log.best and best is not None:
        label = f"best, round {log.best['round']}: {best:.4f}"
        traces.append(_best_mark(best_at, best, label, "top left" if late else "top right"))
    return traces


def _test_line(times: list[float], test: float, *, named_first: bool) -> list[go.Scatter]:
    """Dash a line across, named at its beginning or its end, away from the best round's name."""
    looks = {"hovertemplate": f"test: {test:.4f}<extra></extra>", "cliponaxis": False}
    line = go.Scatter(
        x=[times[0], times[-1]],
        y=[test, test],
        mode="lines",
        line={"color": TEST, "width": 1.8, "dash": "dash"},
        **looks,
    )
    text = go.Scatter(
        x=[times[0 if named_first else -1]],
        y=[test],
        text=[f"test: {test:.4f}"],
        mode="markers+text",
        # Unseen, it keeps the text off the line; and off a curve that has long come near it.
        marker={"size": 6 if named_first else 24, "opacity": 0},
        textposition="top right" if named_first else "bottom left",
        textfont={"size": 13, "weight": 600, "color": TEST},
        **looks,
    )
    return [line, text]


def _best_mark(at: float, best: float, label: str, where: str) -> go.Scatter:
    """Draw a named ring around the best round."""
    return go.Scatter(
        x=[at],
        y=[best],
        text=[label],
        mode="markers+text",
        textposition=where,
        textfont={"size": 13, "weight": 600, "color": BEST},
        marker={"symbol": "circle-open", "size": 13, "color": BEST, "line": {"width": 2.5}},
        cliponaxis=False,
        hovertemplate=f"{label}<extra></extra>",
    )


def round_plots(log: RunLog) -> list[Plot]:
    """Draw loss over time; steps and waits per round."""
    if not log.rounds:
        return []
    times, unit = _times(log.of_rounds("time_s"))
    rounds = log.of_rounds("round")
    loss_RM = log.of_trainers(log.rounds, "loss")
    over_time = layout(f"training time, {unit}", pointed=f"after %{{x:.4~g}} {unit}")
    loss = go.Figure(trainer_lines(times, loss_RM), over_time)
    steps_RM = log.of_trainers(log.rounds, "steps")
    steps = go.Figure(trainer_lines(rounds, steps_RM, "%{y:,.0f}"), _over_rounds(rounds))
    return [
        Plot("Loss", "Each trainer's mean training loss over a round.", loss),
        Plot("Steps", "Optimiser steps each trainer made in a round.", steps),
        _wait_plot(log, rounds),
    ]


def _wait_plot(log: RunLog, rounds: list[int]) -> Plot:
    wait_RM = log.of_trainers(log.rounds, "wait_s")
    aggregate_R1 = np.array(log.of_rounds("aggregate_s"), float)[:, None]
    whole_RM = log.of_trainers(log.rounds, "train_s") + wait_RM + aggregate_R1
    whole_RM[whole_RM <= 0] = np.nan
    lines = trainer_lines(rounds, 100 * wait_RM / whole_RM, "%{y:.2f} %")
    aggregate_R = of_known(np.median, 100 * aggregate_R1 / whole_RM)
    lines.append(
        go.Scatter(
            x=rounds,
            y=plain(aggregate_R),
            name="averaging",
            mode="lines",
            line={"color": QUIET, "width": 1.6, "dash": "dot"},
            hovertemplate="%{y:.2f} %",
        )
    )
    figure = go.Figure(lines, _over_rounds(rounds, ticksuffix=" %"))
    caption = "Share of each round spent waiting for the slowest trainer; dotted, the averaging."
    return Plot("Waiting", caption, figure)


def deal_plots(log: RunLog) -> list[Plot]:
    """Draw what each trainer was dealt, and how the deals differ."""
    if not log.deals:
        return []
    in_sets = any(hand.get("sets", 1) > 1 for deal in log.deals for hand in deal["trainers"])
    estimated = ", estimated from its first resident set" if in_sets else ""
    plots = [
        Plot(title, caption, trainer_bars(log.of_trainers(log.deals, key), "%{y:,.0f}"))
        for key, title, caption in (
            ("nodes", "Nodes dealt", "Nodes of each trainer's shard."),
            ("edges", "Edges seen", f"Both ends in the trainer's shard{estimated}."),
            ("positives", "Training pairs", f"Links to draw positives from{estimated}."),
        )
        if not np.isnan(log.of_trainers(log.deals, key)).all()
    ]
    if len(log.deals) > 1:
        plots.append(_kept_plot(log))
    return plots


def _kept_plot(log: RunLog) -> Plot:
    kept = [100 * deal["edges_kept"] for deal in log.deals]
    line = go.Scatter(
        x=[deal["round"] for deal in log.deals],
        y=kept,
        customdata=[deal["deal"] for deal in log.deals],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2, "shape": "hv"},
        hovertemplate="deal %{customdata}: %{y:.1f} %<extra></extra>",
    )
    figure = go.Figure(line, _over_rounds([deal["round"] for deal in log.deals], ticksuffix=" %"))
    return Plot("Edges kept", "Share of all edges that some trainer sees, deal by deal.", figure)


def _over_rounds(rounds: list[int], **axis_y: Any) -> go.Layout:
    """Lay out a figure over rounds: no ticks between one round and the next."""
    found = layout("round", rangemode="tozero", **axis_y)
    return found.update(xaxis_dtick=1) if max(rounds) - min(rounds) < 9 else found


def _times(times_s: list[float]) -> tuple[list[float], str]:
    """Express times in the unit that suits the longest; the unit's name with them."""
    longest = max(times_s)
    factor, unit = next(
        (f, u) for f, u, enough in ((3600, "h", 7200), (60, "min", 180), (1, "s", 0))
        if longest >= enough
    )  # fmt: skip
    return [time_s / factor for time_s in times_s], unit


def legend(trainers: int) -> tuple[list[tuple[int, str]], str]:
    """List trainers with their colours or, for many, say what stands in for their lines."""
    if trainers > MAX_LINES:
        return [], f"Lines: the median trainer. Bands: the range over all {trainers}."
    return [(trainer, COLOURS[trainer]) for trainer in range(trainers)], ""
