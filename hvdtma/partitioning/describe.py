"""Prints the statistics of an assignment."""

from __future__ import annotations

import math

from rich.table import Table

from hvdtma.core.console import console
from hvdtma.graph.describe import order_text
from hvdtma.graph.store import GraphStore
from hvdtma.partitioning.statistics import AssignmentStatistics

UNEVEN = 1.5  # ratio of the largest to the smallest shard from which a warning is printed


def print_assignment(store: GraphStore, statistics: AssignmentStatistics) -> None:
    """Print the order of the nodes, and a table with a row per trainer."""
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
    console.print(f"edges kept: {statistics.edges_kept:.1%} of all edges are within a shard")
    nodes = [row.nodes for row in statistics.trainers]
    if max(nodes) > UNEVEN * min(nodes):
        console.print(
            f"[yellow]uneven: one trainer has {max(nodes) / min(nodes):.1f} times the nodes of "
            "another; use --parts with a multiple of the number of trainers, or smaller "
            "--block-nodes"
        )
