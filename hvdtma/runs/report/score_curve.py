"""Validation scores over training time, with the best one and the test score marked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from hvdtma.runs.report import words
from hvdtma.runs.report.plots import ACCENT, COLOURS, MANY_ROUNDS, Plot, in_unit, layout

BEST, TEST = COLOURS[1], COLOURS[2]


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
        least_is_best: metrics whose best value is the lowest.
    """

    counted: str
    numbers: Sequence[int]
    times_s: Sequence[float]
    valid: Sequence[Mapping[str, float | None]]
    metric: str | None
    best: int | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    least_is_best: Collection[str] = ()

    def plot(self, caption: str) -> Plot:
        """The figure, with a button per metric."""
        times, unit = in_unit(self.times_s)
        found = {metric: None for metrics in self.valid for metric in metrics}
        metrics = sorted(found, key=lambda metric: metric != self.metric)  # stable: that one first
        figure = go.Figure(layout=layout(f"training time, {unit}", height=360))
        choices: dict[str, list[int]] = {}
        for metric in metrics:
            traces = self._traces(metric, times)
            first = len(figure.data)
            figure.add_traces([t.update(visible=metric == metrics[0]) for t in traces])
            choices[words.metric_name(metric)] = list(range(first, len(figure.data)))
        figure.update_layout(hovermode="closest")
        if self.test:
            caption += " Dashed: the test score of the best model."
        return Plot("Score over training time", caption, figure, wide=True, choices=choices)

    def _traces(self, metric: str, times: list[float]) -> list[go.Scatter]:
        name = words.metric_name(metric)
        curve = go.Scatter(
            x=times,
            y=[metrics.get(metric) for metrics in self.valid],
            customdata=list(self.numbers),
            mode="lines" if len(times) > MANY_ROUNDS else "lines+markers",
            line={"color": ACCENT, "width": 2.4},
            marker={"size": 6},
            hovertemplate=f"{self.counted} %{{customdata}}<br>valid {name} %{{y:.4f}}"
            "<extra></extra>",
        )
        best_at = times[-1 if self.best is None else self.best]
        late = best_at - times[0] >= 0.5 * (times[-1] - times[0])
        traces, test = [curve], self.test.get(metric)
        if test is not None:
            traces += _test_line(times, test, named_first=late)
        best = None if self.best is None else self.valid[self.best].get(metric)
        if self.best is not None and best is not None:
            label = f"best, {self.counted} {self.numbers[self.best]}: {words.score(best)}"
            where = "bottom" if metric in self.least_is_best else "top"
            traces.append(
                _best_mark(best_at, best, label, f"{where} {'left' if late else 'right'}")
            )
        return traces


def _test_line(times: list[float], test: float, *, named_first: bool) -> list[go.Scatter]:
    """A dashed line with a label at its start or its end, away from the label of the best score."""
    label = f"test: {words.score(test)}"
    looks = {"hovertemplate": f"{label}<extra></extra>", "cliponaxis": False}
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
        text=[label],
        mode="markers+text",
        # An invisible marker keeps the text off the line, and off a curve near it.
        marker={"size": 6 if named_first else 24, "opacity": 0},
        textposition="top right" if named_first else "bottom left",
        textfont={"size": 13, "weight": 600, "color": TEST},
        **looks,
    )
    return [line, text]


def _best_mark(at: float, best: float, label: str, where: str) -> go.Scatter:
    """A labelled ring around the best score."""
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
