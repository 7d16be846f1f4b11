"""The figures of a run's report.

Legend: R rounds, M trainers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hvdtma.runs.report.plots import (
    ACCENT,
    COLOURS,
    MAX_LINES,
    QUIET,
    Plot,
    group_size,
    in_unit,
    layout,
    of_known,
    plain,
    thinned,
    trainer_bars,
    trainer_lines,
)
from hvdtma.runs.report.reference import Reference
from hvdtma.runs.report.run_log import RunLog
from hvdtma.runs.report.score_curve import ReferenceCurve, ScoreCurve


def score_plot(log: RunLog, reference: Reference | None = None) -> Plot | None:
    """Validation scores over training time, with a button per metric; None without scores."""
    if not log.valid:
        return None
    rounds = [event["round"] for event in log.valid]
    curve = ScoreCurve(
        counted="round",
        numbers=rounds,
        times_s=[event["time_s"] for event in log.valid],
        valid=[event["metrics"] for event in log.valid],
        metric=log.metric,
        best=rounds.index(log.best["round"]) if log.best else None,
        test=log.test,
        chance=log.chance,
        reference=_reference_curve(reference) if reference else None,
        end_s=log.rounds[-1]["time_s"] if log.rounds else 0.0,
    )
    return curve.plot("Each point is an aggregated model, scored on validation by the evaluator.")


def _reference_curve(reference: Reference) -> ReferenceCurve:
    valid = reference.log.valid
    return ReferenceCurve(
        label=reference.label,
        times_s=[event["time_s"] for event in valid],
        valid=[event["metrics"] for event in valid],
        test=reference.log.test,
    )


def round_plots(log: RunLog) -> list[Plot]:
    """Loss over time; steps and waiting times per round."""
    if not log.rounds:
        return []
    size = group_size(len(log.rounds))
    last = [min(row + size, len(log.rounds)) - 1 for row in range(0, len(log.rounds), size)]
    times, unit = in_unit([log.rounds[row]["time_s"] for row in last])
    rounds = [log.rounds[row]["round"] for row in last]
    loss_RM = thinned(log.of_trainers(log.rounds, "loss"))
    over_time = layout(
        f"training time, {unit}", pointed=f"after %{{x:.4~g}} {unit}", rangemode="tozero"
    )
    over_time.update(xaxis_range=[0, 1.02 * times[-1] or 1.0])
    loss = go.Figure(trainer_lines(times, loss_RM), over_time)
    steps_RM = thinned(log.of_trainers(log.rounds, "steps"))
    steps = go.Figure(trainer_lines(rounds, steps_RM, "%{y:,.0f}"), _over_rounds(rounds))
    each = f" A point is the mean of {size} rounds." if size > 1 else ""
    return [
        Plot("Loss", f"Each trainer's mean training loss over a round.{each}", loss),
        Plot("Steps", f"Optimiser steps each trainer made in a round.{each}", steps),
        _wait_plot(log, rounds, each),
    ]


def _wait_plot(log: RunLog, rounds: list[int], each: str) -> Plot:
    wait_RM = log.of_trainers(log.rounds, "wait_s")
    aggregate_R1 = np.array(log.of_rounds("aggregate_s"), float)[:, None]
    whole_RM = log.of_trainers(log.rounds, "train_s") + wait_RM + aggregate_R1
    whole_RM[whole_RM <= 0] = np.nan
    lines = trainer_lines(rounds, thinned(100 * wait_RM / whole_RM), "%{y:.2f} %")
    aggregate_R = of_known(np.median, thinned(100 * aggregate_R1 / whole_RM))
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
    return Plot("Waiting", caption + each, figure)


def assignment_plots(log: RunLog) -> list[Plot]:
    """Sizes of the trainers' shards, and the share of edges kept in each assignment."""
    if not log.assignments:
        return []
    in_sets = any(
        row.get("sets", 1) > 1 for assignment in log.assignments for row in assignment["trainers"]
    )
    estimated = ", estimated from its first resident set" if in_sets else ""
    plots = [
        Plot(title, caption, trainer_bars(log.of_trainers(log.assignments, key), "%{y:,.0f}"))
        for key, title, caption in (
            ("nodes", "Nodes assigned", "Nodes of each trainer's shard."),
            ("edges", "Edges seen", f"Both ends in the trainer's shard{estimated}."),
            ("positives", "Training pairs", f"Links to draw positives from{estimated}."),
        )
        if not np.isnan(log.of_trainers(log.assignments, key)).all()
    ]
    if len(log.assignments) > 1:
        plots.append(_kept_plot(log))
    return plots


def _kept_plot(log: RunLog) -> Plot:
    kept = [100 * assignment["edges_kept"] for assignment in log.assignments]
    line = go.Scatter(
        x=[assignment["round"] for assignment in log.assignments],
        y=kept,
        customdata=[assignment["assignment"] for assignment in log.assignments],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2, "shape": "hv"},
        hovertemplate="assignment %{customdata}: %{y:.1f} %<extra></extra>",
    )
    figure = go.Figure(
        line, _over_rounds([assignment["round"] for assignment in log.assignments], ticksuffix=" %")
    )
    return Plot(
        "Edges kept", "Share of all edges that some trainer sees, assignment by assignment.", figure
    )


def _over_rounds(rounds: list[int], **axis_y: Any) -> go.Layout:
    """A layout over rounds, without ticks between two rounds."""
    found = layout("round", rangemode="tozero", **axis_y)
    return found.update(xaxis_dtick=1) if max(rounds) - min(rounds) < 9 else found


def legend(trainers: int) -> tuple[list[tuple[int, str]], str]:
    """The trainers with their colours; for many trainers, a note on the median and range."""
    if trainers > MAX_LINES:
        return [], f"Lines: the median trainer. Bands: the range over all {trainers}."
    return [(trainer, COLOURS[trainer]) for trainer in range(trainers)], ""
