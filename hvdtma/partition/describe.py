"""What a deal looks like on the console."""

from __future__ import annotations

import math

from rich.table import Table

from hvdtma.console import console
from hvdtma.graph.store import GraphStore
from hvdtma.partition.statistics import DealStatistics


def print_deal(store: GraphStore, statistics: DealStatistics) -> None:
    """The order, and a row per trainer."""
    order = ", ".join(f"{key} {_short(value)}" for key, value in store.attrs["order"].items())
    console.print(f"order: {order}; {store.num_blocks} blocks")
    table = Table(title=f"one deal to {len(statistics.hands)} trainers")
    for heading in (
        "trainer",
        "nodes",
        "edges",
        "edges kept",
        f"imbalance of {statistics.imbalance_of}",
        "feature discrepancy",
    ):
        table.add_column(heading, justify="right")
    for hand in statistics.hands:
        table.add_row(
            str(hand.trainer),
            f"{hand.nodes:,}",
            f"{hand.edges:,}",
            f"{hand.edges_kept:.1%}",
            "-" if math.isnan(hand.imbalance) else f"{hand.imbalance:.4f}",
            f"{hand.feature_discrepancy:.4f}",
        )
    console.print(table)
    console.print(f"edges that some trainer sees: {statistics.edges_kept:.1%} of all")


def _short(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
