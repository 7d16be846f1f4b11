"""A page on one deal: what `hvdtma partition --plot` draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hvdtma.partition.statistics import DealStatistics
from hvdtma.runs.report import words
from hvdtma.runs.report.figures import legend
from hvdtma.runs.report.page import Card, Page, Section, Table, write_page
from hvdtma.runs.report.plots import Plot, trainer_bars


def write_partition_plot(stats: DealStatistics, path: Path, *, title: str) -> Path:
    """Write one HTML file on what each trainer of a deal gets, and return its path."""
    return write_page(partition_page(stats, title), Path(path))


def partition_page(stats: DealStatistics, title: str) -> Page:
    """Lay out the page on one deal."""
    imbalance = max(hand.imbalance for hand in stats.hands)
    discrepancy = max(hand.feature_discrepancy for hand in stats.hands)
    nodes = [hand.nodes for hand in stats.hands]
    return Page(
        title=title,
        kicker="hvdtma deal",
        cards=[
            Card("Edges kept", words.percent(stats.edges_kept), "seen by some trainer"),
            Card("Imbalance", words.score(imbalance), f"{stats.imbalance_of}, worst trainer"),
            Card("Feature discrepancy", words.score(discrepancy), "worst trainer"),
            Card("Trainers", words.count(len(nodes)), "in this deal"),
            Card("Nodes", words.count(sum(nodes)), "in all"),
            Card("Largest hand", words.percent(max(nodes) / max(sum(nodes), 1)), "of all nodes"),
        ],
        sections=[Section("Trainers", _plots(stats), _table(stats))],
    )


def _plots(stats: DealStatistics) -> list[Plot]:
    def bars(name: str, number: str, factor: float = 1.0, **axis_y: Any) -> go.Figure:
        values = [factor * getattr(hand, name) for hand in stats.hands]
        return trainer_bars(np.array([values], float), number, **axis_y)

    return [
        Plot("Nodes", "Nodes of each trainer's shard.", bars("nodes", "%{y:,.0f}")),
        Plot(
            "Edges kept",
            "Of the edges into a trainer's nodes, the share that also begin there.",
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


def _table(stats: DealStatistics) -> Table:
    columns = ["Trainer", "Nodes", "Edges", "Edges kept", "Imbalance", "Feature discrepancy"]
    rows = [
        [
            str(hand.trainer),
            words.count(hand.nodes),
            words.count(hand.edges),
            words.percent(hand.edges_kept),
            words.score(hand.imbalance),
            words.score(hand.feature_discrepancy),
        ]
        for hand in stats.hands
    ]
    return Table(columns, rows, [colour for _, colour in legend(len(rows))[0]])
