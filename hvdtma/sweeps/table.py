"""The results of a sweep as a table. Trials are compared by validation, never by test."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table as RichTable

from hvdtma.runs.event_text import number_text
from hvdtma.sweeps.trial import Trial, best_of


def result_table(trials: Sequence[Trial]) -> RichTable:
    """A row per trial, the best one first; failed and unfinished ones last."""
    best = best_of(trials)
    keys = list(dict.fromkeys(word.partition("=")[0] for trial in trials for word in trial.words))
    table = RichTable(box=None, header_style="dim")
    for title in ("trial", *keys, f"valid {best.metric if best else 'score'}", "best round", ""):
        table.add_column(title, justify="left" if title == "" else "right")
    for trial in sorted(trials, key=lambda trial: (-trial.order, trial.number)):
        values = dict(word.split("=", 1) for word in trial.words)
        note = {"failed": "failed", "started": "not finished"}.get(trial.state, "")
        table.add_row(
            str(trial.number),
            *(escape(values.get(key, "")) for key in keys),
            "" if trial.score is None else number_text(trial.score),
            str(trial.best_round or ""),
            "best" if trial is best else note,
            style="bold" if trial is best else None,
        )
    return table


def result_lines(trials: Sequence[Trial]) -> list[str]:
    """The best trial with its test score, and every failure with its reason."""
    failures = [f"trial {t.number} failed: {t.why}" for t in trials if t.state == "failed"]
    best = best_of(trials)
    if best is None:
        return failures
    test = best.test.get(best.metric)
    of_test = "" if test is None else f", test {best.metric} {number_text(test)}"
    assert best.score is not None
    return [
        *failures,
        f"best by validation: trial {best.number} ({' '.join(best.words)}), {best.metric} "
        f"{number_text(best.score)}{of_test}; its run: {best.run}",
    ]
