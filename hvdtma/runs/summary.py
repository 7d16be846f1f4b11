"""The result of a run on the console."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.runs.event_text import number_text


def print_summary(run: Path, summary: dict) -> None:
    """Print the result of a run in a few lines, and where its files are."""
    test = "  ".join(f"{name} {number_text(value)}" for name, value in summary["test"].items())
    rate = sum(row["positives_per_s"] for row in summary["per_trainer"])
    size = summary["scored_sample"]
    sample = f" (a sample of {size:,}, from sampled neighbours)" if size else ""
    files = f"summary: {run / 'summary.json'}   report: {run / 'report.html'}"
    lines = [
        f"[bold]{summary['trainers']} trainer(s), {summary['rounds']} rounds "
        f"in {summary['time_s']:.0f} s[/] (stopped: {summary['stopped']}); "
        f"{rate:,.0f} positives/s; {summary['share_not_training']:.1%} not training",
        f"best round {summary['best_round']} by validation {summary['metric']}; "
        f"test{sample}: {test}",
        escape(files),
    ]
    for line in lines:
        console.print(line, soft_wrap=True)
