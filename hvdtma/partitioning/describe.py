"""What an assignment looks like on the console."""

from __future__ import annotations

import math

from rich.table import Table

from hvdtma.core.console import console
from hvdtma.graph.describe import order_text
from hvdtma.graph.store import GraphStore
from hvdtma.partitioning.statistics import AssignmentStatistics

UNEVEN = 1.5  # times; said


def print_assignment(store: GraphStore, statistics: AssignmentStatistics) -> None:
    """The order, and a row per trainer."""
    console.print(f"order: {order_text(store)}; {store.num_blocks} blocks")
    table = Table(title=f"one assignment to {len(statistics.trainers)} trainers")
    for heading in (
        "trainer",
        "nodes",
        "edges",
        "edges kept",
        f"imbalance of {statistics.imbalance_of}",
        "feature discrepancy",
    ):
        table.add_column(heading, justify="right")
    for row in statistics.trainers:
        table.add_row(
            str(row.trainer),
            f"{row.nodes:,}",
            f"{row.edges:,}",
            f"{row.edges_kept:.1%}",
            "-" if math.isnan(row.imbalance) else f"{row.imbalance:.4f}",
            f"{row.feature_discrepancy:.4f}",
        )
    console.print(table)
    console.print(f"edges that some trainer sees: {statistics.edges_kept:.1%} of all")
    nodes = [row.nodes for row in statistics.trainers]
    if max(nodes) > UNEVEN * min(nodes):
        console.print(
            f"[yellow]uneven: a row has {max(nodes) / min(nodes):.1f} times the nodes of another; "
            "take a multiple of the trainers as --parts, or smaller --block-nodes"
        )
