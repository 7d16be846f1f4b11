"""A plan as a page of text."""

from __future__ import annotations

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hvdtma.plan.averaging import AveragingPlan
from hvdtma.plan.memory import BUILD_PROCESS_BYTES, SCORE_PROCESS_BYTES, TRAIN_PROCESS_BYTES
from hvdtma.plan.plan import Plan
from hvdtma.plan.rates import Rates
from hvdtma.plan.stages import AssignmentPlan, PlannedStage


def print_plan(plan: Plan) -> None:
    """Print the stages as a table, and below it assignment, averaging and rates."""
    kind = "undirected" if plan.undirected else "directed"
    state = "exists" if plan.store_exists else "to be built"
    console.print(
        f"{escape(plan.store)} ({state}): {plan.num_nodes:,} nodes, {plan.num_edges:,} training "
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


def _row(stage: PlannedStage) -> list[str]:
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
    """The lines below the table, as label and text."""
    processes = {
        "build": BUILD_PROCESS_BYTES, "train": TRAIN_PROCESS_BYTES, "score": SCORE_PROCESS_BYTES
    }  # fmt: skip
    sizes = ", ".join(f"{num >> 20} MiB to {name}" for name, num in processes.items())
    lines = {
        "assignment": assignment_text(plan.assignment),
        "averaging": averaging_text(plan.averaging),
        "processes": f"{sizes}, before a graph is read; with PyTorch for CPUs, more with CUDA",
    }
    if plan.rates:
        lines["rates measured here, on a small graph"] = rates_text(plan.rates)
    return lines


def assignment_text(assignment: AssignmentPlan) -> str:
    """The shards and their resident sets."""
    size = (
        f"{assignment.shard_nodes:,} nodes and {assignment.shard_edges:,} edges, "
        f"{assignment.share_of_shard:.1%} of all; "
    )
    if assignment.trainers == 1:
        text = f"1 trainer; its shard has {size}"
    else:
        text = (
            f"{assignment.trainers} trainers; each shard has {size}all shards together keep "
            f"{assignment.share_kept:.1%}; "
        )
    if assignment.sets == 1:
        return text + "a shard is in memory as a whole"
    return text + (
        f"a shard is cut into {assignment.sets} resident sets, of which two are in memory; each "
        f"has {assignment.share_resident:.1%} of the shard's edges"
    )


def averaging_text(averaging: AveragingPlan) -> str:
    """The bytes and the time of an aggregation."""
    text = f"{averaging.num_parameters:,} parameters, {decimal(averaging.num_bytes)} per round"
    network = averaging.network
    if network is None or averaging.lost_s is None or averaging.allreduce_s is None:
        return text + "; for the time per round, give --bandwidth-gbps"
    text += (
        f"; {averaging.lost_s * 1e3:.3g} ms per round ({averaging.allreduce_s * 1e3:.3g} between "
        f"trainers at {network.bytes_per_s * 8 / 1e9:.3g} Gbit/s and "
        f"{network.latency_s * 1e6:.3g} us, {averaging.copy_s * 1e3:.3g} in copies)"
    )
    share = averaging.lost_share
    return text if share is None else text + f", {share:.3%} of the interval"


def rates_text(rates: Rates) -> str:
    """The measured rates."""
    note = f" ({rates.note})" if rates.note else ""
    return (
        f"{rates.sorted_edges:,.0f} edges/s sorted, "
        f"{rates.first_hop_values:,.0f} edges x features/s of the first hop, "
        f"{decimal(int(rates.written_bytes))}/s written, "
        f"{rates.examples:,.0f} links or nodes/s trained on{note}, "
        f"{rates.embedded_nodes:,.0f} nodes/s embedded, "
        f"{rates.scored_pairs:,.0f} pairs/s scored"
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
