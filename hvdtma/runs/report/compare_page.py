"""A comparison of runs as one page, in the style of the report."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from hvdtma.runs.report import words
from hvdtma.runs.report.comparison import Comparison, RunGroup
from hvdtma.runs.report.page import Card, Page, Section, Table, write_page
from hvdtma.runs.report.plots import MANY_ROUNDS, Plot, colour, in_unit, layout

BAND_OPACITY = 0.18
MAX_NAME = 32  # characters of a group's name beside the final scores


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write a comparison as one HTML file that needs no network, and return its path."""
    return write_page(comparison_page(comparison), path)


def comparison_page(comparison: Comparison) -> Page:
    """The page on several runs."""
    name, best = words.metric_name(comparison.metric), comparison.best
    count = len(comparison.runs)
    settings = Table(*comparison.settings_table()) if comparison.differing else None
    return Page(
        title=f"{count} run{'s' if count != 1 else ''} side by side",
        kicker="hvdtma compare",
        facts=[
            ("Groups", f"{len(comparison.groups)}, of runs that differ in the seed only"),
            ("Metric", name),
        ],
        notices=[
            f"{run.log.folder} has no validation score of {name}." for run in comparison.unscored
        ],
        cards=[
            Card(f"Best valid {name}", words.score(best.valid.mean), best.name),
            Card(f"Its test {name}", words.score(best.test.mean), "of the best rounds"),
        ],
        sections=[
            Section("Scores", [_curves(comparison), _finals(comparison)], _score_table(comparison)),
            *([Section("Settings that differ", table=settings)] if settings else []),
            Section("Runs", table=_run_table(comparison)),
        ],
    )


def _curves(comparison: Comparison) -> Plot:
    """Validation scores over training time: the mean of each group, and its deviation."""
    shown = [(at, group) for at, group in enumerate(comparison.groups) if group.curve]
    longest = max(time for _, group in shown for time, _ in group.curve)
    [end], unit = in_unit([longest])
    figure = go.Figure(layout=layout(f"training time, {unit}", height=380, rangemode="tozero"))
    figure.update_layout(hovermode="closest", **_legend(len(shown)))
    figure.update_xaxes(range=[0, 1.02 * end or 1.0])
    for at, group in shown:
        figure.add_traces(_group_traces(group, colour(at), longest))
    caption = "The mean over seeds of the rounds that were scored in all of them."
    if any(spread.deviation is not None for _, group in shown for _, spread in group.curve):
        caption += " Bands: one standard deviation."
    return Plot("Score over training time", caption, figure, wide=True)


def _group_traces(group: RunGroup, ink: str, longest: float) -> list[go.Scatter]:
    times_s = [time for time, _ in group.curve]
    x = in_unit([*times_s, longest])[0][:-1]  # in the unit of the longest run
    mean = [spread.mean or 0.0 for _, spread in group.curve]
    spread = [s.deviation or 0.0 for _, s in group.curve]
    traces = []
    if any(spread):
        upper = [m + s for m, s in zip(mean, spread, strict=True)]
        lower = [m - s for m, s in zip(mean, spread, strict=True)]
        band = go.Scatter(
            x=[*x, *reversed(x)],
            y=[*upper, *reversed(lower)],
            fill="toself",
            fillcolor=ink,
            opacity=BAND_OPACITY,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=group.name,
        )
        traces.append(band)
    line = go.Scatter(
        x=x,
        y=mean,
        name=group.name,
        legendgroup=group.name,
        mode="lines" if len(x) > MANY_ROUNDS else "lines+markers",
        line={"color": ink, "width": 2.2},
        marker={"size": 5},
        hovertemplate=f"{group.name}<br>%{{y:.4f}}<extra></extra>",
    )
    return [*traces, line]


def _finals(comparison: Comparison) -> Plot:
    """The final scores of every run, a row per group."""
    groups = comparison.groups
    name = words.metric_name(comparison.metric)
    figure = go.Figure(layout=layout(name, height=130 + 34 * len(groups), showgrid=False))
    figure.update_layout(hovermode="closest", **_legend(2))
    figure.update_xaxes(showgrid=True, nticks=6)
    for part, symbol in (("valid", "circle"), ("test", "diamond-open")):
        points = [
            (at, value, run.name, colour(at))
            for at, group in enumerate(groups)
            for run in group.runs
            if (value := getattr(run, part)) is not None
        ]
        figure.add_trace(
            go.Scatter(
                x=[value for _, value, *_ in points],
                y=[at + (0.14 if part == "test" else -0.14) for at, *_ in points],
                text=[name for _, _, name, _ in points],
                name=part,
                mode="markers",
                marker={"symbol": symbol, "size": 9, "color": [ink for *_, ink in points]},
                hovertemplate=f"%{{text}}<br>{part} %{{x:.4f}}<extra></extra>",
            )
        )
    figure.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[_shortened(group.name) for group in groups],
        range=[len(groups) - 0.4, -0.6],  # the first group is at the top
    )
    caption = "Each point is the best round of a run, by validation. The axis begins above zero."
    return Plot("Final scores", caption, figure, wide=True)


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _legend(entries: int) -> dict:
    return {
        "showlegend": entries > 1,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        "margin": {"l": 8, "r": 14, "t": 44 if entries > 1 else 12, "b": 8},
    }


def _score_table(comparison: Comparison) -> Table:
    name = words.metric_name(comparison.metric)
    rows = [
        [group.name, group.seeds, str(group.valid), str(group.test)] for group in comparison.groups
    ]
    colours = [colour(at) for at in range(len(rows))]
    return Table(["Runs", "Seeds", f"Valid {name}", f"Test {name}"], rows, colours)


def _run_table(comparison: Comparison) -> Table:
    name = words.metric_name(comparison.metric)
    columns = ["Run", "Seed", "Rounds", "Best round", f"Valid {name}", f"Test {name}", "State"]
    rows = [
        [
            str(run.log.folder),
            run.seed,
            words.count(len(run.log.rounds)),
            words.count(run.log.best["round"] if run.log.best else None),
            words.score(run.valid),
            words.score(run.test),
            "finished" if run.log.summary else run.log.end.get("kind", "unfinished"),
        ]
        for run in comparison.runs
    ]
    return Table(columns, rows)
