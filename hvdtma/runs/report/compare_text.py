"""A comparison of runs as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from hvdtma.runs.report import words
from hvdtma.runs.report.comparison import Comparison


def print_comparison(comparison: Comparison, out: Console) -> None:
    """Print final scores, and the settings that differ."""
    out.print(_scores(comparison))
    for run in comparison.unscored:
        text = f"{run.log.folder} has no validation score of {comparison.metric}"
        out.print(text, style="yellow", markup=False, soft_wrap=True)
    if comparison.differing:
        out.print()
        out.print(_settings(comparison))
    else:
        out.print("The runs differ in nothing but the seed.")


def _scores(comparison: Comparison) -> RichTable:
    metric = words.metric_name(comparison.metric)
    table = RichTable(box=None, header_style="dim")
    table.add_column("runs")
    for title in ("seeds", "rounds", "time", f"valid {metric}", f"test {metric}"):
        table.add_column(title, justify="right")
    for group in comparison.groups:
        times = [run.log.rounds[-1]["time_s"] for run in group.runs if run.log.rounds]
        rounds = [len(run.log.rounds) for run in group.runs]
        table.add_row(
            escape(group.name),
            escape(group.seeds),
            words.count(max(rounds)),
            words.duration(max(times) if times else None),
            str(group.valid),
            str(group.test),
            style="bold" if group is comparison.best else None,
        )
    return table


def _settings(comparison: Comparison) -> RichTable:
    titles, rows = comparison.settings_table()
    table = RichTable(box=None, header_style="dim")
    for title in titles:
        table.add_column(escape(title), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
