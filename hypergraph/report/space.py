"""The shared space in two dimensions, items as dots.

Rows are taken at unit length, since cosine is what says that items are alike. The axes are the two
along which they vary most (principal components), every modality weighing alike.

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

FEW = 12  # items of a modality that are named beside their dots
SOME = 300  # that need no small dots
LONGEST = 80  # characters of a name
RELATED = (
    "The direction of each item's factor from the mean of its modality: what all of them share is "
    "left out, what sets items apart is left, across modalities too."
)


def space_plots(log: FitLog, factors: dict[str, np.ndarray]) -> list[Plot]:
    """Draw the items that the log names, twice: about their modality's mean, and as they are.

    Each modality's rows share a direction, which says nothing of one item or another: only what is
    left beside it tells which items of different modalities belong together.
    """
    rows = {
        name: unit(factors[name][its["items"]].astype(np.float64))
        for name, its in log.items.items()
        if its["items"] and name in factors
    }
    if not rows or not all(np.isfinite(rows_NR).all() for rows_NR in rows.values()):
        return []
    beside = {name: unit(rows_NR - rows_NR.mean(0)) for name, rows_NR in rows.items()}
    return [
        _plot(log, "What sets items apart", RELATED, beside),
        _plot(log, "As learned", "The direction of each item's factor as it is.", rows),
    ]


def unit(rows_NR: np.ndarray) -> np.ndarray:
    """The rows at length one; those without a length as they are."""
    length_N1 = np.linalg.norm(rows_NR, axis=1, keepdims=True)
    return rows_NR / np.where(length_N1 > 0, length_N1, 1)


def flatten(groups: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows of all groups along the two axes of most variance, every group weighing alike.

    Returns: [N, 2] of each group, and the share of the variance that each axis has, [2].
    """
    mean_R = np.mean([rows_NR.mean(0) for rows_NR in groups], 0)
    about = [rows_NR - mean_R for rows_NR in groups]
    spread_RR = np.mean([rows_NR.T @ rows_NR / len(rows_NR) for rows_NR in about], 0)
    value_R, axis_RR = np.linalg.eigh(spread_RR)
    most = np.argsort(-value_R)[:2]
    share = np.zeros(2)
    share[: len(most)] = np.maximum(value_R[most], 0) / max(value_R.sum(), 1e-12)
    missing = 2 - len(most)  # with a space of width 1
    return [np.pad(rows_NR @ axis_RR[:, most], ((0, 0), (0, missing))) for rows_NR in about], share


def _plot(log: FitLog, title: str, caption: str, rows: dict[str, np.ndarray]) -> Plot:
    flat, share = flatten(list(rows.values()))
    places = dict(zip(rows, flat, strict=True))
    large_first = sorted(rows, key=lambda name: -len(rows[name]))  # the few are not covered up
    width = np.ptp(np.concatenate(flat), axis=0).max()
    dots = [_dots(log, name, places[name], width) for name in large_first]
    figure = go.Figure(dots, _axes(share))
    caption += f" The two axes show {words.percent(share.sum())} of the variance."
    return Plot(title, caption, figure)


def _dots(log: FitLog, name: str, places_N2: np.ndarray, width: float) -> go.Scatter:
    """Dots of SVG: those of WebGL are compiled by `eval`, which the page forbids."""
    its, hue = log.items[name], colour_of(log, name)
    few = len(places_N2) <= FEW
    size, opacity = (11, 0.9) if few else (6, 0.7) if len(places_N2) <= SOME else (4, 0.5)
    known = [_shortened(str(item)) for item in its["ids"]]
    pointed = [
        f"{item}<br>in {words.count(degree)} hyperedge{'s' * (degree != 1)}"
        for item, degree in zip(known, its["degrees"], strict=True)
    ]
    x, y = places_N2.round(4).T.tolist()
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="markers+text" if few else "markers",
        marker={"color": hue, "size": size, "opacity": opacity},
        text=_apart(known, places_N2 / max(width, 1e-12)) if few else None,
        textposition="top center",
        textfont={"color": hue, "size": 12, "weight": 600},
        customdata=pointed,
        cliponaxis=False,
        hovertemplate=f"<b>{escape(name)}</b><br>%{{customdata}}<extra></extra>",
    )


def _axes(share: np.ndarray) -> go.Layout:
    """Square, as distances are the same both ways; without numbers, which mean nothing."""
    found = layout(f"first axis, {words.percent(share[0])} of the variance", height=560)
    bare = {"showticklabels": False, "showgrid": False, "zeroline": False}
    return found.update(
        hovermode="closest",
        showlegend=True,
        legend=LEGEND | {"itemsizing": "constant"},
        xaxis=bare,
        yaxis=bare
        | {
            "title": {"text": f"second axis, {words.percent(share[1])}", "font": {"size": 12}},
            "scaleanchor": "x",
        },
    )


def _apart(names: list[str], places_N2: np.ndarray) -> list[str]:
    """The names without those that would lie on another; places are shares of the width."""
    kept: list[int] = []
    for at, place in enumerate(places_N2):
        away_2 = np.abs(places_N2[kept] - place)
        if not ((away_2[:, 0] < 0.05) & (away_2[:, 1] < 0.035)).any():
            kept.append(at)
    return [name if at in kept else "" for at, name in enumerate(names)]


def _shortened(name: str) -> str:
    """Plotly reads what looks like HTML."""
    return escape(name if len(name) <= LONGEST else name[: LONGEST - 1] + "…", quote=False)
