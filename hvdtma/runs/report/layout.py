"""The parts that reports of all kinds of runs share: status, notices, scores, config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hvdtma.runs.report import words
from hvdtma.runs.report.page import Card, Page, Section, Table
from hvdtma.runs.report.record import RunRecord

Scores = Mapping[str, float | None]
"""Metric -> score."""


def run_page(
    record: RunRecord,
    *,
    kicker: str,
    progress: str,
    facts: Sequence[tuple[str, str]],
    notices: Sequence[str],
    cards: Sequence[Card],
    sections: Sequence[Section],
) -> Page:
    """The report's page on a run.

    Args:
        kicker: the kind of run.
        progress: a sentence on how far the run has come, for the notice that it is unfinished.
        facts, notices, cards, sections: the ones of this kind of run; a section without plots and
            without a table is left out.
    """
    return Page(
        title=record.folder.resolve().name,
        kicker=kicker,
        status=_status(record),
        facts=list(facts),
        notices=[*_end(record, progress), *notices, *_damage(record)],
        cards=list(cards),
        sections=[section for section in sections if section.plots or section.table],
        details=_details(record),
    )


def score_cards(
    metric: str | None, *, valid: Scores, test: Scores, best: str, tested: str
) -> list[Card]:
    """Cards on the test and the best validation score of a metric.

    Args:
        best: where the best score was, such as `round 7`; empty if there is none.
        tested: the model that was tested, such as `best round`.
    """
    metric = metric or "score"
    name = words.metric_name(metric)
    return [
        Card(f"Test {name}", words.score(test.get(metric)), tested if test else "not scored"),
        Card(f"Valid {name}", words.score(valid.get(metric)), best or "not scored"),
    ]


def score_table(valid: Scores, test: Scores, *, best: str) -> Table | None:
    """A table of the best validation scores and the test scores; None without any.

    Args:
        best: the model of the validation scores, such as `best round`.
    """
    metrics = list(dict.fromkeys([*valid, *test]))
    rows = [
        [f"Validation, {best}", *(words.score(valid.get(metric)) for metric in metrics)],
        ["Test", *(words.score(test.get(metric)) for metric in metrics)],
    ]
    return Table(["", *map(words.metric_name, metrics)], rows) if metrics else None


def _status(record: RunRecord) -> tuple[str, bool]:
    if record.end:
        return record.end["kind"], False
    if not record.summary:
        return "unfinished", False
    return f"finished: {record.summary.get('stopped', 'done')}", True


def _end(record: RunRecord, progress: str) -> list[str]:
    if record.end:
        why = record.end["why"]
        text = f"failed: {why}" if record.end["kind"] == "failed" else f"was {why}"
        return [f"This run {text}. {progress}"]
    if not record.summary:
        return [f"This run is unfinished: it has no summary yet. {progress}"]
    return []


def _damage(record: RunRecord) -> list[str]:
    count = record.damaged_lines
    lines = "1 line" if count == 1 else f"{count} lines"
    return [f"{lines} of metrics.jsonl could not be read."] if count else []


def _details(record: RunRecord) -> dict[str, str]:
    versions = json.dumps(record.versions, indent=2, ensure_ascii=False) if record.versions else ""
    texts = {"Config": record.config.strip(), "Versions": versions}
    return {heading: text for heading, text in texts.items() if text}
