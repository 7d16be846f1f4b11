"""A page on a hypergraph: what is in it, how its degrees are spread, how dense it is.

Legend: N items, M modalities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hvdtma.report import words
from hvdtma.report.page import Card, Page, Section, Table, write_page
from hvdtma.report.plots import COLOURS, Plot, layout
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.summary import degrees, summary


def write_plot(graph: MultimodalHypergraph, path: str | Path, *, title: str = "Hypergraph") -> Path:
    """Write one HTML file on a hypergraph, and return its path."""
    return write_page(hypergraph_page(graph, title), Path(path))


def hypergraph_page(graph: MultimodalHypergraph, title: str) -> Page:
    """Lay out the page on a hypergraph."""
    found = summary(graph)
    modalities, relations = found["modalities"], found["relations"]
    items = _items_table(modalities)
    arities = sorted({r["arity"] for r in relations.values()})
    return Page(
        title=title,
        kicker="hypergraph",
        cards=[
            Card("Modalities", words.count(len(modalities)), ", ".join(modalities)),
            Card("Items", words.count(sum(m["items"] for m in modalities.values())), "in all"),
            Card(
                "Hyperedges",
                words.count(sum(r["hyperedges"] for r in relations.values())),
                f"of arity {', '.join(map(str, arities))}",
            ),
        ],
        sections=[
            Section("Modalities", [_degree_plot(graph), _items_plot(modalities)], items),
            Section("Relations", [_density_plot(found)], _relations_table(relations)),
        ],
    )


def _degree_plot(graph: MultimodalHypergraph) -> Plot:
    lines = []
    for number, name in enumerate(graph.modalities):
        degree_N = np.sort(degrees(graph, name))
        distinct, first = np.unique(degree_N, return_index=True)
        share = 1 - first / len(degree_N)
        lines.append(
            go.Scatter(
                x=distinct[distinct > 0].tolist(),
                y=share[distinct > 0].tolist(),
                name=name,
                mode="lines+markers",
                line={"color": _colour(number), "width": 2},
                marker={"size": 4},
                hovertemplate=f"{name}: %{{y:.2%}} of items are in %{{x:,}} hyperedges or more"
                "<extra></extra>",
            )
        )
    axes = layout("hyperedges of an item", height=360, type="log", tickformat="~%")
    figure = go.Figure(lines, axes)
    figure.update_layout(
        hovermode="closest",
        showlegend=True,
        xaxis_type="log",
        legend={"orientation": "h", "y": 1.1},
    )
    caption = "Share of items that are in so many hyperedges or more, of all relations."
    return Plot("Degrees", caption, figure, wide=True)


def _items_plot(modalities: dict[str, Any]) -> Plot:
    caption = "Items of each modality."
    return Plot("Items", caption, _bars({name: m["items"] for name, m in modalities.items()}))


def _density_plot(found: dict[str, Any]) -> Plot:
    density = {name: r["density"] for name, r in found["relations"].items()}
    for name, modality in found["modalities"].items():
        if modality["intra"] is not None and modality["intra"]["density"] > 0:
            density[f"inside {name}"] = modality["intra"]["density"]
    caption = "Of all hyperedges (or pairs inside a modality) that could be, the share that are."
    return Plot("Density", caption, _bars(density), wide=True)


def _bars(value_of: dict[str, float]) -> go.Figure:
    bars = go.Bar(
        x=list(value_of),
        y=list(value_of.values()),
        marker={"color": [_colour(n) for n in range(len(value_of))], "cornerradius": 3},
        hovertemplate="%{x}: %{y:,.4~g}<extra></extra>",
    )
    return go.Figure(bars, layout("", type="log")).update_layout(hovermode="closest")


def _items_table(modalities: dict[str, Any]) -> Table:
    columns = ["Modality", "Items", "Features", "Median degree", "Largest degree",
               "In no hyperedge", "Intra edges"]  # fmt: skip
    rows = [
        [
            name,
            words.count(m["items"]),
            words.count(m["features"]),
            words.count(m["degree"]["median"]),
            words.count(m["degree"]["most"]),
            words.percent(m["in_no_hyperedge"]),
            words.count(m["intra"]["edges"] if m["intra"] else None),
        ]
        for name, m in modalities.items()
    ]
    return Table(columns, rows, [_colour(number) for number in range(len(rows))])


def _relations_table(relations: dict[str, Any]) -> Table:
    columns = ["Relation", "Joins", "Hyperedges", "Density", "Repeats dropped"]
    rows = [
        [
            name,
            ", ".join(r["modalities"]),
            words.count(r["hyperedges"]),
            f"{r['density']:.2g}",
            words.count(r["repeats_dropped"]),
        ]
        for name, r in relations.items()
    ]
    return Table(columns, rows)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
