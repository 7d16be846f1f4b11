"""The report of a run of HyperLearn, as one page."""

from __future__ import annotations

from pathlib import Path

from hvdtma.core.files import expanded
from hvdtma.runs.report import words
from hvdtma.runs.report.layout import run_page, score_cards, score_table
from hvdtma.runs.report.page import Card, Page, Section, write_page
from hvdtma.runs.report.plots import Plot
from hypergraph.model_file import read_model
from hypergraph.report.figures import completion_plot, loss_plot, overall, score_plot
from hypergraph.report.log import FitLog, read_run
from hypergraph.report.space import space_plots
from hypergraph.report.tables import completion_table, placement_table, rank_table
from hypergraph.run_folder import FitFolder


def write_report(run: Path) -> Path:
    """Write `report.html` into a run's folder, finished or not, and return its path.

    Raises UserError if there is no run, or its model is damaged.
    """
    log = read_run(expanded(run))
    return write_page(fit_page(log), log.folder / "report.html")


def fit_page(log: FitLog) -> Page:
    """The page on one run."""
    space, why_none = _space(log)
    last = log.last.get("iteration")
    return run_page(
        log,
        kicker="HyperLearn run",
        progress=f"The last scored iteration is {last:,}."
        if log.scores
        else "It has no score yet.",
        facts=_facts(log),
        notices=[why_none] if why_none else [],
        cards=_cards(log),
        sections=_sections(log, space),
    )


def _facts(log: FitLog) -> list[tuple[str, str]]:
    start = log.start
    if not start:
        return []
    relations = [
        (
            f"Hyperedges of {name}",
            f"{words.count(of['hyperedges'])} ({', '.join(of['modalities'])})",
        )
        for name, of in start["relations"].items()
    ]
    valid, test = (words.count(start["held_out"][part]) for part in ("valid", "test"))
    return [
        *relations,
        (f"Held out of {start['relation']}", f"{valid} to validate, {test} to test"),
        ("Loss", start["loss"]),
        ("Width of the space", str(start["dim"])),
        ("Ranks", str(start["ranks"])),
        *([("Exchange", start["exchange"])] if start["ranks"] > 1 else []),
    ]


def _space(log: FitLog) -> tuple[list[Plot], str]:
    """The plots of the shared space, or the reason why there are none."""
    model = FitFolder(log.folder).model
    if not model.exists():
        return [], "The shared space is not drawn: there is no model yet."
    plots = space_plots(log, read_model(model).rows)
    why = "some factors are not finite" if log.items else "items.json is missing"
    return plots, "" if plots else f"The shared space is not drawn: {why}."


def _cards(log: FitLog) -> list[Card]:
    best = "" if log.best is None else f"best, iteration {log.scores[log.best]['iteration']:,}"
    tested = "of the best factors"
    others = [other for other in ("hits@10", "mae") if other in log.test and other != log.metric]
    ended = f"ended: {log.summary['stopped']}" if "stopped" in log.summary else "so far"
    return [
        *score_cards(log.metric, valid=log.valid, test=log.test, best=best, tested=tested),
        *(
            Card(f"Test {words.metric_name(other)}", words.score(log.test[other]), tested)
            for other in others
        ),
        Card("Iterations", words.count(log.last.get("iteration")), ended),
        Card("Training time", words.duration(log.last.get("time_s")), "without scoring"),
        _last_card(log),
    ]


def _last_card(log: FitLog) -> Card:
    """The bytes that ranks send; with one rank, the number of items."""
    ranks = log.last.get("ranks", [])
    if len(ranks) > 1:
        sent = sum(rank["bytes_sent"] / max(rank["iterations"], 1) for rank in ranks)
        return Card("Sent", words.size(sent), f"per iteration, {len(ranks)} ranks")
    items = sum(modality["items"] for modality in log.modalities.values())
    return Card("Items", words.count(items or None), f"of {len(log.modalities)} modalities")


def _sections(log: FitLog, space: list[Plot]) -> list[Section]:
    score, completion, loss = score_plot(log), completion_plot(log), loss_plot(log)
    scores = score_table(overall(log.valid), overall(log.test), best="best")
    return [
        Section("Scores", [score] if score else [], scores),
        Section("By modality", [completion] if completion else [], completion_table(log)),
        Section("Shared space", space, note=_drawn(log) if space else ""),
        Section("Training", [loss] if loss else []),
        Section("Placement", table=placement_table(log)),
        Section("Ranks", table=rank_table(log)),
    ]


def _drawn(log: FitLog) -> str:
    """The number of drawn items of each modality."""
    each = [
        f"{name} {len(its['items']):,} of {log.modalities[name]['items']:,}"
        for name, its in log.items.items()
        if name in log.modalities
    ]
    return f"the items in most hyperedges are drawn: {', '.join(each)}"
