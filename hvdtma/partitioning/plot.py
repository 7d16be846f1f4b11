"""The HTML page of `hvdtma partition --plot`: statistics of one assignment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hvdtma.partitioning.statistics import AssignmentStatistics
from hvdtma.runs.report import words
from hvdtma.runs.report.figures import legend
from hvdtma.runs.report.page import Card, Page, Section, Table, write_page
from hvdtma.runs.report.plots import Plot, trainer_bars


def write_partition_plot(stats: AssignmentStatistics, path: Path, *, title: str) -> Path:
    """Write the statistics of an assignment as one HTML file, and return its path."""
    return write_page(partition_page(stats, title), Path(path))


def partition_page(stats: AssignmentStatistics, title: str) -> Page:
    """The page with cards, plots and a table of one assignment."""
    imbalance = max(row.imbalance for row in stats.trainers)
    discrepancy = max(row.feature_discrepancy for row in stats.trainers)
    nodes = [row.nodes for row in stats.trainers]
    return Page(
        title=title,
        kicker="hvdtma assignment",
        cards=[
            Card("Edges kept", words.percent(stats.edges_kept), "of all edges"),
            Card("Imbalance", words.score(imbalance), f"{stats.imbalance_of}, worst trainer"),
            Card("Feature discrepancy", words.score(discrepancy), "worst trainer"),
            Card("Trainers", words.count(len(nodes)), "in this assignment"),
            Card("Nodes", words.count(sum(nodes)), "in all"),
            Card("Largest shard", words.percent(max(nodes) / max(sum(nodes), 1)), "of all nodes"),
        ],
        sections=[Section("Trainers", _plots(stats), _table(stats))],
    )


def _plots(stats: AssignmentStatistics) -> list[Plot]:
    def bars(name: str, number: str, factor: float = 1.0, **axis_y: Any) -> go.Figure:
        values = [factor * getattr(row, name) for row in stats.trainers]
        return trainer_bars(np.array([values], float), number, **axis_y)

    return [
        Plot("Nodes", "Nodes of each trainer's shard.", bars("nodes", "%{y:,.0f}")),
        Plot(
            "Edges kept",
            "Share of the edges into a trainer's nodes that begin at one of its nodes.",
            bars("edges_kept", "%{y:.1f} %", 100, ticksuffix=" %"),
        ),
        Plot(
            "Imbalance",
            f"Total variation distance of its {stats.imbalance_of} from the whole graph's.",
            bars("imbalance", "%{y:.4f}"),
        ),
        Plot(
            "Feature discrepancy",
            "Distance of its feature mean from the whole graph's, in standard deviations.",
            bars("feature_discrepancy", "%{y:.4f}"),
        ),
    ]


def _table(stats: AssignmentStatistics) -> Table:
    columns = ["Trainer", "Nodes", "Edges", "Edges kept", "Imbalance", "Feature discrepancy"]
    rows = [
        [
            str(row.trainer),
            words.count(row.nodes),
            words.count(row.edges),
            words.percent(row.edges_kept),
            words.score(row.imbalance),
            words.score(row.feature_discrepancy),
        ]
        for row in stats.trainers
    ]
    return Table(columns, rows, [colour for _, colour in legend(len(rows))[0]])
