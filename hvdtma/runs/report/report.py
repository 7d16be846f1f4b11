"""A run's report: what its folder holds, as one page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hvdtma.runs.report import words
from hvdtma.runs.report.figures import assignment_plots, legend, round_plots, score_plot
from hvdtma.runs.report.page import Card, Page, Section, Table, write_page
from hvdtma.runs.report.run_log import RunLog, read_run
from hvdtma.runs.report.totals import RunTotals, totals


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, finished or not, and return its path.

    Raises UserError if the folder is not a run's.
    """
    log = read_run(Path(run))
    return write_page(run_page(log), log.folder / "report.html")


def run_page(log: RunLog) -> Page:
    """Lay out the page on one run."""
    each = totals(log)
    return Page(
        title=log.folder.resolve().name,
        kicker="hvdtma training run",
        status=_status(log),
        facts=_facts(log),
        notices=_notices(log),
        cards=_cards(log, each),
        sections=_sections(log, each),
        details=_details(log),
    )


def _status(log: RunLog) -> tuple[str, bool]:
    if log.failed:
        return "failed", False
    if log.interrupted:
        return "interrupted", False
    if not log.summary:
        return "unfinished", False
    return f"finished: {log.summary.get('stopped', 'done')}", True


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
    notices = []
    if log.failed:
        notices.append(f"This run failed: {log.failed}.")
    elif log.interrupted:
        notices.append(f"This run was {log.interrupted}.")
    elif not log.summary:
        last = f"round {log.rounds[-1]['round']}" if log.rounds else "no round"
        notices.append(f"This run is unfinished: there is no summary yet; {last} is its last.")
    notices += _lost_losses(log)
    notices += _changes(log)
    if log.rounds and not log.valid:
        notices.append("No round has been scored on validation.")
    skipped = log.skipped or log.summary.get("skipped_rounds") or []
    if skipped:
        notices.append(f"Not scored on validation: {_rounds(skipped)}.")
    if log.damaged_lines:
        lines = "1 line" if log.damaged_lines == 1 else f"{log.damaged_lines} lines"
        notices.append(f"{lines} of metrics.jsonl could not be read.")
    return notices


def _changes(log: RunLog) -> list[str]:
    """Tell of trainers that were lost, and of those that joined."""
    if not log.changes:
        return []
    lost, joined, took_s = (
        sum(c[key] for c in log.changes) for key in ("lost", "joined", "took_s")
    )
    rounds = _rounds(sorted({change["round"] for change in log.changes}))
    return [
        f"Trainers lost: {lost}; joined: {joined} (in {rounds}). Regrouping took "
        f"{words.duration(took_s)} in all. Lines are by rank: after a loss, later ranks move up."
    ]


def _lost_losses(log: RunLog) -> list[str]:
    """Tell of losses that are missing though the trainer made steps."""
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


def _cards(log: RunLog, each: list[RunTotals]) -> list[Card]:
    metric, best, summary = log.metric or "score", log.best, log.summary
    name = words.metric_name(metric)
    valid = best["metrics"].get(metric) if best else (summary.get("valid") or {}).get(metric)
    at = best["round"] if best else summary.get("best_round")
    rates = [trainer.positives_per_s for trainer in each if words.known(trainer.positives_per_s)]
    rate = words.rate(sum(rates) if rates else None)
    return [
        Card(f"Test {name}", words.score(log.test.get(metric)),
             "of the best round" if log.test else "not scored"),
        Card(f"Valid {name}", words.score(valid), f"best, round {at}" if at else "not scored"),
        Card("Not training", words.percent(_not_training(log, each)), "waiting and averaging"),
        Card("Positives/s", rate, "all trainers together"),
        *_length_cards(log),
    ]  # fmt: skip


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


def _sections(log: RunLog, each: list[RunTotals]) -> list[Section]:
    score, table = score_plot(log), _score_table(log)
    rounds, assignments = round_plots(log), assignment_plots(log)
    buttons, note = legend(log.trainers)
    sections = []
    if score or table:
        sections.append(Section("Scores", [score] if score else [], table))
    if rounds:
        sections.append(Section("Rounds", rounds, None, buttons, note))
    if assignments:
        kept = words.percent(log.assignments[0]["edges_kept"])
        said = f"{kept} of all edges are seen by some trainer in the first assignment."
        if len(log.assignments) > 1:
            said += (
                f" Bars: the mean over {len(log.assignments)} assignments; whiskers: their range."
            )
        sections.append(
            Section(
                "Assignments", assignments, note=said, columns=3 if len(assignments) == 3 else 2
            )
        )
    if each:
        sections.append(Section("Trainers", table=_trainer_table(each)))
    return sections


def _score_table(log: RunLog) -> Table | None:
    valid = log.best["metrics"] if log.best else log.summary.get("valid") or {}
    metrics = list(dict.fromkeys([*valid, *log.test]))
    rows = [
        ["Validation, best round", *(words.score(valid.get(m)) for m in metrics)],
        ["Test", *(words.score(log.test.get(m)) for m in metrics)],
    ]
    return Table(["", *map(words.metric_name, metrics)], rows) if metrics else None


def _trainer_table(each: list[RunTotals]) -> Table:
    columns = ["Trainer", "Nodes", "Edges", "Resident sets", "Steps", "Positives", "Positives/s",
               "Training", "Waiting", "Averaging", "Waiting for data", "Read",
               "Peak memory"]  # fmt: skip
    rows = [
        [
            str(trainer.trainer),
            words.count(trainer.nodes),
            words.count(trainer.edges),
            words.count(trainer.sets),
            words.count(trainer.steps),
            words.count(trainer.positives),
            words.count(trainer.positives_per_s),
            words.duration(trainer.train_s),
            words.duration(trainer.wait_s),
            words.duration(trainer.aggregate_s),
            words.duration(trainer.wait_for_data_s),
            words.size(trainer.bytes_read),
            words.size(trainer.peak_rss_bytes),
        ]
        for trainer in each
    ]
    return Table(columns, rows, [colour for _, colour in legend(len(each))[0]])


def _details(log: RunLog) -> dict[str, str]:
    versions = json.dumps(log.versions, indent=2, ensure_ascii=False) if log.versions else ""
    folded = {"Config": log.config.strip(), "Versions": versions}
    return {heading: text for heading, text in folded.items() if text}
