"""Tables of a run's report: completion by modality, placement, ranks."""

from __future__ import annotations

from hvdtma.runs.report import words
from hvdtma.runs.report.page import Table
from hypergraph.report.figures import by_modality, colour_of
from hypergraph.report.log import FitLog


def completion_table(log: FitLog) -> Table | None:
    """Scores by completed modality: of the test, else of validation; None without scores."""
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
    """The rank and device of each modality; None before training has started."""
    rows = [
        [name, words.count(its["items"]), str(its["rank"]), its["device"]]
        for name, its in log.modalities.items()
    ]
    colours = [colour_of(log, name) for name in log.modalities]
    return Table(["Modality", "Items", "Rank", "Device"], rows, colours) if rows else None


def rank_table(log: FitLog) -> Table | None:
    """The counters of each rank; None before the first score."""
    columns = ["Rank", "Modalities", "Iterations"]
    columns += ["Compute (CPU time)", "Exchange (wall-clock time)", "Sent per iteration"]
    rows = [
        [
            str(rank),
            ", ".join(n for n, its in log.modalities.items() if its["rank"] == rank),
            words.count(counters["iterations"]),
            words.duration(counters["compute_s"]),
            words.duration(counters["exchange_wall_s"]),
            words.size(counters["bytes_sent"] / max(counters["iterations"], 1)),
        ]
        for rank, counters in enumerate(log.last.get("ranks", []))
    ]
    return Table(columns, rows) if rows else None
