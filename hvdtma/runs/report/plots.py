"""Plotly figures in the style of the page: lines over rounds or time, bars per trainer.

Text and grid take their colours from page.css, which follows the reader's light or dark scheme. A
trainer has the same colour in every figure. The colours of more than `MAX_LINES` trainers cannot
be told apart: the median and the range are drawn instead.

Legend: R rounds (or times, or assignments), M trainers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

# Distinct on white and on black, also to most colour-blind readers.
COLOURS = (
    "#3b7dd8", "#e8853d", "#1fa187", "#9062d4", "#df5379", "#a3942b", "#4fb0d9", "#8d7f78",
)  # fmt: skip
MAX_LINES = len(COLOURS)
ACCENT, ACCENT_BAND = COLOURS[0], "rgba(59, 125, 216, 0.22)"
QUIET = "#8a93a3"
MANY_ROUNDS = 60  # lines with more points have no markers
MAX_POINTS = 1000  # of a line; a screen shows no more, and the page stays small


def colour(number: int) -> str:
    """A colour for a number; the colours repeat."""
    return COLOURS[number % len(COLOURS)]


@dataclass(frozen=True)
class Plot:
    """A figure with its title and caption.

    Attributes:
        choices: label -> the traces that its button shows; the first is shown at the start.
            Traces under no label are always shown.
    """

    title: str
    caption: str
    figure: go.Figure
    wide: bool = False
    choices: dict[str, list[int]] = field(default_factory=dict)


def layout(x_title: str, *, pointed: str = "", height: int = 280, **axis_y: Any) -> go.Layout:
    """The layout that all figures share.

    Args:
        x_title: title of the horizontal axis.
        pointed: hover template of a position on that axis; default its title and number.
        axis_y: more properties of the vertical axis.
    """
    return go.Layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 14, "t": 12, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12},
        hovermode="x unified",
        showlegend=False,
        bargap=0.3,
        xaxis={
            "title": {"text": x_title, "standoff": 10, "font": {"size": 12}},
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "nticks": 9,
            "unifiedhovertitle": {"text": f"<b>{pointed or x_title + ' %{x}'}</b>"},
        },
        yaxis={"automargin": True, "zeroline": False, "nticks": 6, "separatethousands": True}
        | axis_y,
    )


def trainer_lines(
    x_R: Sequence[float], values_RM: np.ndarray, number: str = "%{y:,.4~g}"
) -> list[go.Scatter]:
    """One line per trainer, or the median and range of many. NaN leaves a gap.

    Args:
        number: hover template of a value.
    """
    if values_RM.shape[1] > MAX_LINES:
        return _median_and_range(np.asarray(x_R, float), values_RM, number)
    mode = "lines" if len(x_R) > MANY_ROUNDS else "lines+markers"
    return [
        go.Scatter(
            x=list(x_R),
            y=plain(values_R),
            name=f"trainer {trainer}",
            mode=mode,
            line={"color": COLOURS[trainer], "width": 1.8},
            marker={"size": 5},
            hovertemplate=number,
            meta={"trainer": trainer},
        )
        for trainer, values_R in enumerate(values_RM.T)
    ]


def _median_and_range(x_R: np.ndarray, values_RM: np.ndarray, number: str) -> list[go.Scatter]:
    some_R = ~np.isnan(values_RM).all(1)
    x, values_RM = x_R[some_R].tolist(), values_RM[some_R]

    def line(name: str, function: Callable, width: float, **looks: Any) -> go.Scatter:
        return go.Scatter(
            x=x,
            y=plain(of_known(function, values_RM)),
            name=name,
            mode="lines",
            line={"color": ACCENT, "width": width},
            hovertemplate=number,
            **looks,
        )

    return [
        line("most", np.max, 0),
        line("least", np.min, 0, fill="tonexty", fillcolor=ACCENT_BAND),
        line("median", np.median, 2),
    ]


def trainer_bars(values_RM: np.ndarray, number: str = "%{y:,.4~g}", **axis_y: Any) -> go.Figure:
    """One bar per trainer: the mean over assignments (R), with the range over several."""
    assignments, trainers = values_RM.shape
    mean_M = of_known(np.mean, values_RM.T)
    spread = None
    if assignments > 1:
        spread = {
            "array": plain(of_known(np.max, values_RM.T) - mean_M),
            "arrayminus": plain(mean_M - of_known(np.min, values_RM.T)),
            "thickness": 1.2,
            "width": 4 if trainers <= MAX_LINES else 0,
        }
    bars = go.Bar(
        x=list(range(trainers)),
        y=plain(mean_M),
        error_y=spread,
        marker={
            "color": list(COLOURS[:trainers]) if trainers <= MAX_LINES else ACCENT,
            "cornerradius": 3,
        },
        hovertemplate=f"trainer %{{x}}: {number}<extra></extra>",
    )
    figure = go.Figure(bars, layout("trainer", **{"rangemode": "tozero", **axis_y}))
    ticks = {"tickmode": "linear", "dtick": 1} if trainers <= MAX_LINES else {}
    return figure.update_layout(hovermode="closest", xaxis=ticks)


def thinned(values_RM: np.ndarray) -> np.ndarray:
    """The means of groups of consecutive rows, so that at most `MAX_POINTS` are left.

    The last group may be smaller. NaN does not count.
    """
    size = group_size(len(values_RM))
    if size == 1:
        return values_RM
    groups = [values_RM[start : start + size] for start in range(0, len(values_RM), size)]
    return np.array([of_known(np.mean, group_RM.T) for group_RM in groups])


def group_size(rounds: int) -> int:
    """The number of rounds of one point of a line."""
    return max(-(-rounds // MAX_POINTS), 1)


def in_unit(times_s: Sequence[float]) -> tuple[list[float], str]:
    """The times in a unit that suits the longest one, and the unit's name."""
    longest = max(times_s)
    factor, unit = next(
        (f, u) for f, u, enough in ((3600, "h", 7200), (60, "min", 180), (1, "s", 0))
        if longest >= enough
    )  # fmt: skip
    return [time_s / factor for time_s in times_s], unit


def of_known(function: Callable, values: np.ndarray) -> np.ndarray:
    """The function of each row's values without NaN; NaN for a row without values."""
    known = [row[~np.isnan(row)] for row in values]
    return np.array([function(row) if len(row) else np.nan for row in known], float)


def plain(values: np.ndarray) -> list[float | None]:
    """A list for JSON: NaN and infinities become None."""
    return [float(value) if np.isfinite(value) else None for value in values]
