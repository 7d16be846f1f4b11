"""The shared space in two dimensions, with items as dots.

Rows are scaled to unit length, since the cosine measures similarity. The axes are the first two
principal components, with equal weight for every modality.

Legend: N items drawn, R width of the factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from hvdtma.runs.report import words
from hvdtma.runs.report.plots import Plot, layout
from hypergraph.report.figures import LEGEND, colour_of
from hypergraph.report.log import FitLog

FEW = 12  # a modality of at most this many items has labels
SOME = 300  # a modality of at most this many has larger dots
LONGEST = 80  # characters of a name
CENTRED = (
    "The direction of each item's factor from the mean of its modality. The part that all items of "
    "a modality share is removed; the differences between items remain, also across modalities."
)


def space_plots(log: FitLog, factors: dict[str, np.ndarray]) -> list[Plot]:
    """The chosen items, once relative to the mean of their modality and once as they are.

    The rows of a modality share a direction, which hides the differences between items: without it,
    the plot shows which items of different modalities are related. No plots if factors are not
    finite.
    """
    rows = {
        name: unit(factors[name][its["items"]].astype(np.float64))
        for name, its in log.items.items()
        if its["items"] and name in factors
    }
    if not rows or not all(np.isfinite(rows_NR).all() for rows_NR in rows.values()):
        return []
    centred = {name: unit(rows_NR - rows_NR.mean(0)) for name, rows_NR in rows.items()}
    return [
        _plot(log, "Differences between items", CENTRED, centred),
        _plot(log, "As learned", "The direction of each item's factor.", rows),
    ]


def unit(rows_NR: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1; rows of zeros stay zero."""
    length_N1 = np.linalg.norm(rows_NR, axis=1, keepdims=True)
    return rows_NR / np.where(length_N1 > 0, length_N1, 1)


def flatten(groups: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Project rows on their first two principal components, with equal weight for every group.

    Returns: [N, 2] of each group, and the share of the variance of each axis, [2].
    """
    mean_R = np.mean([rows_NR.mean(0) for rows_NR in groups], 0)
    centred = [rows_NR - mean_R for rows_NR in groups]
    spread_RR = np.mean([rows_NR.T @ rows_NR / len(rows_NR) for rows_NR in centred], 0)
    value_R, axis_RR = np.linalg.eigh(spread_RR)
    most = np.argsort(-value_R)[:2]
    share = np.zeros(2)
    share[: len(most)] = np.maximum(value_R[most], 0) / max(value_R.sum(), 1e-12)
    missing = 2 - len(most)  # 1 for a space of width 1
    flat = [np.pad(rows_NR @ axis_RR[:, most], ((0, 0), (0, missing))) for rows_NR in centred]
    return flat, share


def _plot(log: FitLog, title: str, caption: str, rows: dict[str, np.ndarray]) -> Plot:
    flat, share = flatten(list(rows.values()))
    points = dict(zip(rows, flat, strict=True))
    large_first = sorted(rows, key=lambda name: -len(rows[name]))  # small ones are drawn on top
    width = np.ptp(np.concatenate(flat), axis=0).max()
    dots = [_dots(log, name, points[name], width) for name in large_first]
    figure = go.Figure(dots, _axes(share))
    caption += f" The two axes show {words.percent(share.sum())} of the variance."
    return Plot(title, caption, figure)


def _dots(log: FitLog, name: str, points_N2: np.ndarray, width: float) -> go.Scatter:
    """SVG dots: plotly compiles WebGL dots with `eval`, which the page forbids."""
    its, hue = log.items[name], colour_of(log, name)
    few = len(points_N2) <= FEW
    size, opacity = (11, 0.9) if few else (6, 0.7) if len(points_N2) <= SOME else (4, 0.5)
    labels = [_shortened(str(item)) for item in its["ids"]]
    hover = [
        f"{label}<br>in {words.count(degree)} hyperedge{'s' * (degree != 1)}"
        for label, degree in zip(labels, its["degrees"], strict=True)
    ]
    x, y = points_N2.round(4).T.tolist()
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="markers+text" if few else "markers",
        marker={"color": hue, "size": size, "opacity": opacity},
        text=_without_overlaps(labels, points_N2 / max(width, 1e-12)) if few else None,
        textposition="top center",
        textfont={"color": hue, "size": 12, "weight": 600},
        customdata=hover,
        cliponaxis=False,
        hovertemplate=f"<b>{escape(name)}</b><br>%{{customdata}}<extra></extra>",
    )


def _axes(share: np.ndarray) -> go.Layout:
    """Axes of equal scale, without numbers, which have no meaning."""
    found = layout(f"first axis, {words.percent(share[0])} of the variance", height=560)
    plain = {"showticklabels": False, "showgrid": False, "zeroline": False}
    return found.update(
        hovermode="closest",
        showlegend=True,
        legend=LEGEND | {"itemsizing": "constant"},
        xaxis=plain,
        yaxis=plain
        | {
            "title": {"text": f"second axis, {words.percent(share[1])}", "font": {"size": 12}},
            "scaleanchor": "x",
        },
    )


def _without_overlaps(labels: list[str], points_N2: np.ndarray) -> list[str]:
    """The labels, empty where one would overlap another; points are fractions of the width."""
    kept: list[int] = []
    for at, point in enumerate(points_N2):
        distance_N2 = np.abs(points_N2[kept] - point)
        if not ((distance_N2[:, 0] < 0.05) & (distance_N2[:, 1] < 0.035)).any():
            kept.append(at)
    return [label if at in kept else "" for at, label in enumerate(labels)]


def _shortened(name: str) -> str:
    """A short name, escaped: plotly interprets HTML."""
    return escape(name if len(name) <= LONGEST else name[: LONGEST - 1] + "…", quote=False)
