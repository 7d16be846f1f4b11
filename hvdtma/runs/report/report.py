"""The report of a training run, as one page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hvdtma.runs.report import words
from hvdtma.runs.report.figures import assignment_plots, legend, round_plots, score_plot
from hvdtma.runs.report.layout import Beside, run_page, score_cards, score_table
from hvdtma.runs.report.page import Card, Page, Section, Table, write_page
from hvdtma.runs.report.reference import Reference, read_reference
from hvdtma.runs.report.run_log import RunLog, read_run
from hvdtma.runs.report.totals import RunTotals, totals


def write_report(run: Path, reference: Path | None = None) -> Path:
    """Write `report.html` into a run's folder, finished or not, and return its path.

    Args:
        reference: a run to compare with, such as one trainer on the whole graph.

    Raises UserError if there is no run, or if the reference cannot be compared with it.
    """
    log = read_run(Path(run))
    other = read_reference(Path(reference), log) if reference else None
    return write_page(training_page(log, other), log.folder / "report.html")


def training_page(log: RunLog, reference: Reference | None = None) -> Page:
    """The page on one training run."""
    each = totals(log)
    return run_page(
        log,
        kicker="hvdtma training run",
        progress=f"Its last round is {log.rounds[-1]['round']}."
        if log.rounds
        else "It has no round yet.",
        facts=_facts(log),
        notices=_notices(log),
        cards=_cards(log, each, reference),
        sections=_sections(log, each, reference),
    )


def _facts(log: RunLog) -> list[tuple[str, str]]:
    start = log.summary | log.start
    every_s, every_steps = start.get("interval_s"), start.get("interval_steps")
    interval = (
        f"{every_steps} steps" if every_steps else f"{every_s:g} s" if every_s else words.DASH
    )
    graph = (
        f"{words.count(start.get('num_nodes'))} nodes, {words.count(start.get('num_edges'))} edges"
    )
    facts = [
        ("Method", words.method_name(start.get("method"))),
        ("Trainers", words.count(log.trainers or None)),
        ("Averaged every", interval),
        ("Store", start.get("store") or words.DASH),
        ("Graph", graph if start.get("num_nodes") is not None else words.DASH),
        ("Parameters", words.count(start.get("parameters"))),
    ]
    return [(name, str(value)) for name, value in facts]


def _notices(log: RunLog) -> list[str]:
    notices = _lost_losses(log) + _changes(log)
    if log.rounds and not log.valid:
        notices.append("No round has been scored on validation.")
    if log.skipped:
        notices.append(f"Not scored on validation: {_rounds(log.skipped)}.")
    return notices


def _changes(log: RunLog) -> list[str]:
    """Trainers that were lost or joined."""
    if not log.changes:
        return []
    lost, joined, took_s = (
        sum(c[key] for c in log.changes) for key in ("lost", "joined", "took_s")
    )
    rounds = _rounds(sorted({change["round"] for change in log.changes}))
    return [
        f"Trainers lost: {lost}; joined: {joined} (in {rounds}). Regrouping took "
        f"{words.duration(took_s)} in total. A line is a rank: after a loss, later ranks move up."
    ]


def _lost_losses(log: RunLog) -> list[str]:
    """Losses that are missing although the trainer made steps."""
    lost_RM = np.isnan(log.of_trainers(log.rounds, "loss"))
    lost = np.argwhere(lost_RM & (log.of_trainers(log.rounds, "steps") > 0))
    if not len(lost):
        return []
    row, trainer = lost[0]
    more = f"; so were {len(lost) - 1} more" if len(lost) > 1 else ""
    return [f"Trainer {trainer}'s loss in round {log.rounds[row]['round']} was not a number{more}."]


def _rounds(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"round{'s' * (len(numbers) > 1)} {shown}{more}"


def _cards(log: RunLog, each: list[RunTotals], reference: Reference | None) -> list[Card]:
    best, summary = log.best, log.summary
    at = best["round"] if best else summary.get("best_round")
    rates = [trainer.positives_per_s for trainer in each if words.known(trainer.positives_per_s)]
    return [
        *score_cards(
            log.metric,
            valid=log.best_valid,
            test=log.test,
            best=f"best, round {at}" if at else "",
            tested="of the best round",
            beside=_beside(log, reference),
        ),
        Card("Not training", words.percent(_not_training(log, each)), "waiting and averaging"),
        Card("Positives/s", words.rate(sum(rates) if rates else None), "all trainers together"),
        *_length_cards(log),
    ]


def _beside(log: RunLog, reference: Reference | None) -> Beside:
    """The scores to compare with."""
    beside = {}
    if reference:
        beside[reference.label] = (reference.log.best_valid, reference.log.test)
    if log.chance:
        beside["chance"] = (log.chance, log.chance)
    return beside


def _length_cards(log: RunLog) -> list[Card]:
    summary = log.summary
    if not summary:
        last = log.rounds[-1] if log.rounds else {}
        return [
            Card("Rounds", words.count(last.get("round")), "so far"),
            Card("Training time", words.duration(last.get("time_s")), "so far"),
        ]
    training = words.duration(summary.get("time_s"))
    return [
        Card("Rounds", words.count(summary.get("rounds")), f"ended: {summary.get('stopped', '')}"),
        Card("Wall time", words.duration(summary.get("wall_s")), f"{training} of training"),
    ]


def _not_training(log: RunLog, each: list[RunTotals]) -> float | None:
    if "share_not_training" in log.summary:
        return log.summary["share_not_training"]
    idle_s = sum(trainer.wait_s + trainer.aggregate_s for trainer in each)
    whole_s = idle_s + sum(trainer.train_s for trainer in each)
    return idle_s / whole_s if whole_s > 0 else None


def _sections(log: RunLog, each: list[RunTotals], reference: Reference | None) -> list[Section]:
    score, assignments = score_plot(log, reference), assignment_plots(log)
    buttons, note = legend(log.trainers)
    return [
        Section(
            "Scores",
            [score] if score else [],
            score_table(
                log.best_valid, log.test, best="best round", beside=_beside(log, reference)
            ),
        ),
        Section("Rounds", round_plots(log), None, buttons, note),
        Section(
            "Assignments",
            assignments,
            note=_assignment_note(log),
            columns=3 if len(assignments) == 3 else 2,
        ),
        Section("Trainers", table=_work_table(each) if each else None),
        Section("Time and memory", table=_time_table(each) if each else None),
    ]


def _assignment_note(log: RunLog) -> str:
    if not log.assignments:
        return ""
    kept = words.percent(log.assignments[0]["edges_kept"])
    note = f"{kept} of all edges are seen by some trainer in the first assignment."
    if len(log.assignments) > 1:
        note += f" Bars: the mean over {len(log.assignments)} assignments; whiskers: their range."
    return note


def _work_table(each: list[RunTotals]) -> Table:
    columns = ["Trainer", "Nodes", "Edges", "Resident sets", "Steps", "Positives", "Positives/s"]
    return _trainer_table(
        columns,
        each,
        lambda trainer: [
            words.count(trainer.nodes),
            words.count(trainer.edges),
            words.count(trainer.sets),
            words.count(trainer.steps),
            words.count(trainer.positives),
            words.count(trainer.positives_per_s),
        ],
    )


def _time_table(each: list[RunTotals]) -> Table:
    columns = ["Trainer", "Training", "Waiting", "Averaging", "Waiting for data", "Read"]
    return _trainer_table(
        [*columns, "Peak memory"],
        each,
        lambda trainer: [
            words.duration(trainer.train_s),
            words.duration(trainer.wait_s),
            words.duration(trainer.aggregate_s),
            words.duration(trainer.wait_for_data_s),
            words.size(trainer.bytes_read),
            words.size(trainer.peak_rss_bytes),
        ],
    )


def _trainer_table(
    columns: list[str], each: list[RunTotals], cells: Callable[[RunTotals], list[str]]
) -> Table:
    """A row per trainer."""
    rows = [[str(trainer.trainer), *cells(trainer)] for trainer in each]
    return Table(columns, rows, [colour for _, colour in legend(len(each))[0]])
