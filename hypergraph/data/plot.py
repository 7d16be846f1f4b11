"""A page on a hypergraph: sizes, degrees and densities.

Legend: N items.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hvdtma.core.files import expanded
from hvdtma.runs.report import words
from hvdtma.runs.report.page import Card, Page, Section, Table, write_page
from hvdtma.runs.report.plots import QUIET, Plot, colour, layout
from hypergraph.data.hypergraph import MultimodalHypergraph


def write_plot(graph: MultimodalHypergraph, path: str | Path, *, title: str = "Hypergraph") -> Path:
    """Write an HTML page on a hypergraph, and return its path."""
    return write_page(hypergraph_page(graph, title), expanded(path))


def hypergraph_page(graph: MultimodalHypergraph, title: str) -> Page:
    """The page on a hypergraph."""
    found = graph.summary()
    modalities, relations = found["modalities"], found["relations"]
    items = _items_table(modalities)
    arities = sorted({r["arity"] for r in relations.values()})
    return Page(
        title=title,
        kicker="hypergraph",
        cards=[
            Card("Modalities", words.count(len(modalities)), ", ".join(modalities)),
            Card("Items", words.count(sum(m["items"] for m in modalities.values())), "in total"),
            Card(
                "Hyperedges",
                words.count(sum(r["hyperedges"] for r in relations.values())),
                f"of arity {', '.join(map(str, arities))}",
            ),
        ],
        sections=[
            Section("Modalities", [_degree_plot(graph)], items),
            Section("Relations", [_density_plot(found)], _relations_table(relations)),
        ],
    )


def _degree_plot(graph: MultimodalHypergraph) -> Plot:
    lines = []
    for number, name in enumerate(graph.modalities):
        degree_N = np.sort(graph.degrees(name))
        distinct, first = np.unique(degree_N, return_index=True)
        share = 1 - first / len(degree_N)
        lines.append(
            go.Scatter(
                x=distinct[distinct > 0].tolist(),
                y=share[distinct > 0].tolist(),
                name=name,
                mode="lines+markers",
                line={"color": colour(number), "width": 2},
                marker={"size": 4},
                hovertemplate=f"{name}: %{{y:.2%}} of items are in at least %{{x:,}} hyperedges"
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
    caption = "The share of items that are in at least this many hyperedges, over all relations."
    return Plot("Degrees", caption, figure, wide=True)


def _density_plot(found: dict[str, Any]) -> Plot:
    """Dots, since bars have no zero to start from on a logarithmic axis."""
    colour_of, density = {}, {}
    for name, relation in found["relations"].items():
        colour_of[name], density[name] = QUIET, relation["density"]
    for number, (name, modality) in enumerate(found["modalities"].items()):
        if modality["intra"] is not None and modality["intra"]["density"] > 0:
            inside = f"inside {name}"
            colour_of[inside], density[inside] = colour(number), modality["intra"]["density"]
    dots = go.Scatter(
        x=list(density),
        y=list(density.values()),
        mode="markers",
        marker={"color": list(colour_of.values()), "size": 14},
        hovertemplate="%{x}: %{y:.3~g}<extra></extra>",
    )
    figure = go.Figure(dots, layout("", type="log", tickformat="~e"))
    figure.update_layout(hovermode="closest")
    caption = "The share of all possible hyperedges (or pairs inside a modality) that exist."
    return Plot("Density", caption, figure, wide=True)


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
    return Table(columns, rows, [colour(number) for number in range(len(rows))])


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
