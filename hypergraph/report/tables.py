"""The tables of a run's report: scores, what is trained where, what each rank did."""

from __future__ import annotations

from hvdtma.runs.report import words
from hvdtma.runs.report.page import Table
from hypergraph.report.figures import by_modality, colour_of, overall
from hypergraph.report.log import FitLog


def score_table(log: FitLog) -> Table | None:
    """Over all modalities; None without scores."""
    valid, test = overall(log.valid), overall(log.test)
    metrics = list(dict.fromkeys([*valid, *test]))
    rows = [
        ["Validation, best", *(words.score(valid.get(metric)) for metric in metrics)],
        ["Test", *(words.score(test.get(metric)) for metric in metrics)],
    ]
    return Table(["", *map(words.metric_name, metrics)], rows) if metrics else None


def completion_table(log: FitLog) -> Table | None:
    """Of each modality that is completed, on test if that was scored; None where there are none."""
    part, each = "test", by_modality(log.test)
    if not each:
        part, each = "validation, best so far", by_modality(log.valid)
    if not each:
        return None
    metrics = list(next(iter(each.values())))
    rows = [
        [name, *(words.score(its.get(metric)) for metric in metrics)] for name, its in each.items()
    ]
    columns = [f"Completed ({part})", *map(words.metric_name, metrics)]
    return Table(columns, rows, [colour_of(log, name) for name in each])


def placement_table(log: FitLog) -> Table | None:
    """Which modality is trained where; None if the run did not come so far."""
    rows = [
        [name, words.count(its["items"]), str(its["rank"]), its["device"]]
        for name, its in log.modalities.items()
    ]
    colours = [colour_of(log, name) for name in log.modalities]
    return Table(["Modality", "Items", "Rank", "Device"], rows, colours) if rows else None


def rank_table(log: FitLog) -> Table | None:
    """What each rank did; None before the first score."""
    columns = ["Rank", "Modalities", "Iterations"]
    columns += ["Compute (CPU time)", "Exchange (by the clock)", "Sent per iteration"]
    rows = [
        [
            str(rank),
            ", ".join(n for n, its in log.modalities.items() if its["rank"] == rank),
            words.count(did["iterations"]),
            words.duration(did["compute_s"]),
            words.duration(did["exchange_wall_s"]),
            words.size(did["bytes_sent"] / max(did["iterations"], 1)),
        ]
        for rank, did in enumerate(log.last.get("ranks", []))
    ]
    return Table(columns, rows) if rows else None
