"""A plan on a page."""

from __future__ import annotations

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hvdtma.plan.aggregation import Aggregating
from hvdtma.plan.plan import Plan, Stage


def print_plan(plan: Plan) -> None:
    """Print the stages as a table, and what the assignment and the averaging give, below it."""
    kind = "undirected" if plan.undirected else "directed"
    where = "there already" if plan.store_exists else "to be built"
    console.print(
        f"{escape(plan.store)} ({where}): {plan.num_nodes:,} nodes, {plan.num_edges:,} training "
        f"edges ({kind}), {plan.feature_dim} x {plan.feature_dtype}"
    )
    table = Table(box=None)
    for name in ("stage", "memory", "limit", "disk", "scratch", "read", "time"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in plan.stages:
        table.add_row(*_row(stage))
    console.print(table)
    for stage in plan.stages:
        console.print(f"  {stage.name}: {stage.note}", style="dim")
    for label, text in facts(plan).items():
        console.print(f"[bold]{label}[/]: {escape(text)}", soft_wrap=True)


def _row(stage: Stage) -> list[str]:
    if stage.done:
        return [stage.name, "done", "", decimal(stage.disk_bytes), "", "", ""]
    return [
        stage.name,
        f"{stage.peak_bytes / 2**30:.2f} GiB",
        f"{stage.limit_bytes / 2**30:.2f} GiB" if stage.limit_bytes else "none",
        decimal(stage.disk_bytes) if stage.disk_bytes else "",
        decimal(stage.scratch_bytes) if stage.scratch_bytes else "",
        decimal(stage.read_bytes) if stage.read_bytes else "",
        "" if stage.time_s is None else duration(stage.time_s),
    ]


def facts(plan: Plan) -> dict[str, str]:
    """What the table does not show, as label and text."""
    assignment, averaging = plan.assignment, plan.aggregation
    told = {
        "assignment": f"{assignment.trainers} trainers; each shard {assignment.shard_nodes:,} nodes and "
        f"{assignment.shard_edges:,} edges, {assignment.share_of_shard:.1%} of all; "
        f"all shards keep {assignment.share_kept:.1%}",
        "resident": "the whole shard"
        if assignment.sets == 1
        else f"a shard is cut into {assignment.sets} sets; one has {assignment.share_resident:.1%} of its "
        "edges, and two are in memory",
        "averaging": averaging_text(averaging),
        "network": f"{averaging.network.latency_s * 1e6:.3g} us, "
        f"{averaging.network.bytes_per_s * 8 / 1e9:.3g} Gbit/s, copies "
        f"{decimal(int(averaging.network.copy_bytes_per_s))}/s ({averaging.network.source})",
        "processes": f"{plan.base.build / 2**20:.0f} MiB to build, {plan.base.train / 2**20:.0f} "
        f"to train, {plan.base.evaluate / 2**20:.0f} to score, without a graph "
        f"({plan.base.source})",
    }
    if plan.rates:
        rates = plan.rates
        on = f" ({rates.trained_on})" if rates.trained_on else ""
        told["rates measured here, on a small graph"] = (
            f"{rates.sorted_edges:,.0f} edges/s sorted, "
            f"{rates.first_hop_values:,.0f} edges x features/s of the first hop, "
            f"{decimal(int(rates.written_bytes))}/s written, "
            f"{decimal(int(rates.read_bytes))}/s read, "
            f"{rates.positives:,.0f} positives/s trained on{on}, "
            f"{rates.embedded_nodes:,.0f} nodes/s embedded, "
            f"{rates.scored_pairs:,.0f} pairs/s scored"
        )
    return told


def averaging_text(averaging: Aggregating) -> str:
    """What a round loses to its aggregation."""
    share = averaging.lost_share
    return (
        f"{averaging.parameters:,} parameters, {decimal(averaging.num_bytes)} a round; "
        f"{averaging.lost_s * 1e3:.3g} ms a round ({averaging.ring_s * 1e3:.3g} between trainers, "
        f"{averaging.copies_s * 1e3:.3g} in copies)"
        + ("" if share is None else f", {share:.3%} of the interval")
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
