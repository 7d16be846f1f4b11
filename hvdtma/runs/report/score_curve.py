"""Validation scores over training time, with the best one, the test score and chance.

Names and values are in the legend above the plot, where no line crosses them. The vertical axis
begins at zero and the horizontal one at the start of training, so that a few close scores do not
look like a trend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from hvdtma.runs.report import words
from hvdtma.runs.report.plots import (
    ACCENT,
    COLOURS,
    MANY_ROUNDS,
    MAX_POINTS,
    QUIET,
    Plot,
    in_unit,
    layout,
)

BEST, TEST = COLOURS[1], COLOURS[2]
LEGEND = {
    "orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemclick": False,
    "traceorder": "reversed",  # the lines in front come first
}  # fmt: skip


@dataclass(frozen=True)
class ReferenceCurve:
    """Scores of another run, drawn behind.

    Attributes:
        times_s, valid, test: as of `ScoreCurve`.
    """

    label: str
    times_s: Sequence[float]
    valid: Sequence[Mapping[str, float | None]]
    test: Mapping[str, float]


@dataclass(frozen=True)
class ScoreCurve:
    """Validation scores, in order.

    Attributes:
        counted: `round` or `iteration`.
        numbers: the round or iteration of each score.
        times_s: seconds of training before each score.
        valid: metric -> value, of each score.
        metric: the metric that is shown first.
        best: position of the best score; None if there is none.
        test: metric -> test score of the best model.
        chance: metric -> value of a model that has learned nothing.
        end_s: seconds of training so far; the last score may be earlier.
    """

    counted: str
    numbers: Sequence[int]
    times_s: Sequence[float]
    valid: Sequence[Mapping[str, float | None]]
    metric: str | None
    best: int | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    reference: ReferenceCurve | None = None
    end_s: float = 0.0

    def plot(self, caption: str) -> Plot:
        """The figure, with a button per metric."""
        others = self.reference.times_s if self.reference else ()
        end_s = max([self.end_s, *self.times_s, *others])
        [end], unit = in_unit([end_s])
        per_s = end / end_s if end_s else 1.0
        found = {metric: None for metrics in self.valid for metric in metrics}
        metrics = sorted(found, key=lambda metric: metric != self.metric)  # stable: that one first
        figure = go.Figure(layout=layout(f"training time, {unit}", height=400, rangemode="tozero"))
        choices: dict[str, list[int]] = {}
        for metric in metrics:
            traces = self._traces(metric, per_s, end)
            first = len(figure.data)
            figure.add_traces([t.update(visible=metric == metrics[0]) for t in traces])
            choices[words.metric_name(metric)] = list(range(first, len(figure.data)))
        figure.update_layout(hovermode="closest", showlegend=True, legend=LEGEND)
        figure.update_xaxes(range=[0, 1.02 * end or 1.0])
        if len(self.times_s) > MAX_POINTS:
            caption += f" {MAX_POINTS:,} of {len(self.times_s):,} scores are drawn."
        return Plot("Score over training time", caption, figure, wide=True, choices=choices)

    def _traces(self, metric: str, per_s: float, end: float) -> list[go.Scatter]:
        """The lines of a metric, those in front last."""
        name, test, chance = (
            words.metric_name(metric),
            self.test.get(metric),
            self.chance.get(metric),
        )
        traces = []
        if chance is not None:
            traces.append(_level(f"chance: {words.score(chance)}", chance, end, "dot", QUIET))
        if self.reference:
            traces += _reference_traces(self.reference, metric, per_s, end)
        if test is not None:
            traces.append(_level(f"test: {words.score(test)}", test, end, "dash", TEST))
        kept = self._kept()
        traces.append(
            go.Scatter(
                x=[per_s * self.times_s[i] for i in kept],
                y=[self.valid[i].get(metric) for i in kept],
                customdata=[self.numbers[i] for i in kept],
                name="validation",
                mode="lines" if len(kept) > MANY_ROUNDS else "lines+markers",
                line={"color": ACCENT, "width": 2.4},
                marker={"size": 6},
                hovertemplate=f"{self.counted} %{{customdata}}<br>valid {name} %{{y:.4f}}"
                "<extra></extra>",
            )
        )
        best = None if self.best is None else self.valid[self.best].get(metric)
        if self.best is not None and best is not None:
            label = f"best, {self.counted} {self.numbers[self.best]}: {words.score(best)}"
            traces.append(_ring(label, per_s * self.times_s[self.best], best))
        return traces

    def _kept(self) -> list[int]:
        """The positions that are drawn: all, or about `MAX_POINTS` with the best and the last."""
        number = len(self.times_s)
        step = -(-number // MAX_POINTS)
        extra = {number - 1} if self.best is None else {number - 1, self.best}
        return sorted({*range(0, number, step), *extra})


def _reference_traces(
    reference: ReferenceCurve, metric: str, per_s: float, end: float
) -> list[go.Scatter]:
    traces = [
        go.Scatter(
            x=[per_s * time_s for time_s in reference.times_s],
            y=[metrics.get(metric) for metrics in reference.valid],
            name=f"validation of {reference.label}",
            mode="lines",
            line={"color": QUIET, "width": 1.6},
            hovertemplate="%{y:.4f}<extra></extra>",
        )
    ]
    test = reference.test.get(metric)
    if test is not None:
        label = f"test of {reference.label}: {words.score(test)}"
        traces.append(_level(label, test, end, "dash", QUIET))
    return traces


def _level(label: str, value: float, end: float, dash: str, colour: str) -> go.Scatter:
    """A horizontal line over all of the training time."""
    return go.Scatter(
        x=[0, end],
        y=[value, value],
        name=label,
        mode="lines",
        line={"color": colour, "width": 1.8, "dash": dash},
        hovertemplate=f"{label}<extra></extra>",
    )


def _ring(label: str, at: float, best: float) -> go.Scatter:
    """A ring around the best score."""
    return go.Scatter(
        x=[at],
        y=[best],
        name=label,
        mode="markers",
        marker={"symbol": "circle-open", "size": 13, "color": BEST, "line": {"width": 2.5}},
        cliponaxis=False,
        hovertemplate=f"{label}<extra></extra>",
    )
