"""The parts that reports of all kinds of runs share: status, notices, scores, config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hvdtma.runs.report import words
from hvdtma.runs.report.page import Card, Page, Section, Table
from hvdtma.runs.report.record import RunRecord

Scores = Mapping[str, float | None]
"""Metric -> score."""
Beside = Mapping[str, tuple[Scores, Scores]]
"""Name -> validation and test scores to compare with."""


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
    metric: str | None,
    *,
    valid: Scores,
    test: Scores,
    best: str,
    tested: str,
    beside: Beside | None = None,
) -> list[Card]:
    """Cards on the test and the best validation score of a metric.

    Args:
        best: where the best score was, such as `round 7`; empty if there is none.
        tested: the model that was tested, such as `best round`.
        beside: scores to compare with; they stand under the numbers.
    """
    metric = metric or "score"
    name = words.metric_name(metric)
    valid_hints, test_hints = [best or "not scored"], [tested if test else "not scored"]
    for label, (of_valid, of_test) in (beside or {}).items():
        for hints, scores in ((valid_hints, of_valid), (test_hints, of_test)):
            if words.known(scores.get(metric)):
                hints.append(f"{label}: {words.score(scores[metric])}")
    return [
        Card(f"Test {name}", words.score(test.get(metric)), "\n".join(test_hints)),
        Card(f"Valid {name}", words.score(valid.get(metric)), "\n".join(valid_hints)),
    ]


def score_table(
    valid: Scores, test: Scores, *, best: str, beside: Beside | None = None
) -> Table | None:
    """A table with a row per metric; None without any.

    Args:
        best: the model of the validation scores, such as `best round`.
        beside: scores to compare with; columns of their own.
    """
    columns = {f"Validation, {best}": valid, "Test": test}
    for label, (of_valid, of_test) in (beside or {}).items():
        if of_valid == of_test:
            columns[label[:1].upper() + label[1:]] = of_test
        else:
            columns |= {f"Validation, {label}": of_valid, f"Test, {label}": of_test}
    rows = [
        [words.metric_name(m), *(words.score(scores.get(m)) for scores in columns.values())]
        for m in dict.fromkeys([*valid, *test])
    ]
    return Table(["Metric", *columns], rows) if rows else None


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
