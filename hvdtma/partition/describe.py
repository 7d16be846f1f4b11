"""What a deal looks like on the console."""

from __future__ import annotations

import math

from rich.table import Table

from hvdtma.core.console import console
from hvdtma.graph.describe import order_text
from hvdtma.graph.store import GraphStore
from hvdtma.partition.statistics import DealStatistics

UNEVEN = 1.5  # times; said


def print_deal(store: GraphStore, statistics: DealStatistics) -> None:
    """The order, and a row per trainer."""
    console.print(f"order: {order_text(store)}; {store.num_blocks} blocks")
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
    nodes = [hand.nodes for hand in statistics.hands]
    if max(nodes) > UNEVEN * min(nodes):
        console.print(
            f"[yellow]uneven: a hand has {max(nodes) / min(nodes):.1f} times the nodes of another; "
            "take a multiple of the trainers as --parts, or smaller --block-nodes"
        )
