"""A comparison of runs as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from hvdtma.runs.report import words
from hvdtma.runs.report.comparison import Comparison

MAX_COLUMNS = 6  # more groups are not shown side by side, but one below the other


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
    """The settings that differ: a column per group, or a row per group if there are many."""
    groups, keys = comparison.groups, comparison.differing
    cells = [[escape(g.settings.get(key, words.DASH)) for key in keys] for g in groups]
    table = RichTable(box=None, header_style="dim")
    if len(groups) > MAX_COLUMNS:
        for title in ("runs", *keys):
            table.add_column(escape(title))
        for group, row in zip(groups, cells, strict=True):
            table.add_row(escape(group.runs[0].name), *row)
        return table
    for title in ("setting", *(group.runs[0].name for group in groups)):
        table.add_column(escape(title), overflow="fold")
    for at, key in enumerate(keys):
        table.add_row(escape(key), *(row[at] for row in cells))
    return table
