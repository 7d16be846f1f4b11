"""A run's report: what its folder holds, as one page."""

from __future__ import annotations

import json
from pathlib import Path

from hvdtma.runs.report import words
from hvdtma.runs.report.page import Card, Page, Section, write_page
from hvdtma.runs.report.plots import Plot
from hypergraph.report.figures import completion_plot, loss_plot, score_plot
from hypergraph.report.log import FitLog, read_run
from hypergraph.report.space import space_plots
from hypergraph.report.tables import completion_table, placement_table, rank_table, score_table
from hypergraph.run_folder import FitFolder
from hypergraph.saved import read_saved


def write_report(run: Path) -> Path:
    """Write `report.html` into a run's folder, finished or not, and return its path.

    Raises UserError if the folder is not a run's, or the model in it is damaged.
    """
    log = read_run(Path(run))
    return write_page(run_page(log), log.folder / "report.html")


def run_page(log: FitLog) -> Page:
    """Lay out the page on one run."""
    space, why_none = _space(log)
    return Page(
        title=log.folder.resolve().name,
        kicker="HyperLearn run",
        status=_status(log),
        facts=_facts(log),
        notices=_notices(log) + ([why_none] if why_none else []),
        cards=_cards(log),
        sections=_sections(log, space),
        details=_details(log),
    )


def _status(log: FitLog) -> tuple[str, bool]:
    if log.summary:
        return f"finished: {log.summary.get('stopped', 'done')}", True
    return log.end.get("kind", "unfinished"), False


def _facts(log: FitLog) -> list[tuple[str, str]]:
    start = log.start
    if not start:
        return []
    joined = [
        (
            f"Hyperedges of {name}",
            f"{words.count(of['hyperedges'])} ({', '.join(of['modalities'])})",
        )
        for name, of in start["relations"].items()
    ]
    valid, test = (words.count(start["held_out"][part]) for part in ("valid", "test"))
    return [
        *joined,
        (f"Held out of {start['relation']}", f"{valid} to validate, {test} to test"),
        ("Loss", start["loss"]),
        ("Width of the space", str(start["dim"])),
        ("Ranks", str(start["ranks"])),
        *([("Exchange", start["exchange"])] if start["ranks"] > 1 else []),
    ]


def _notices(log: FitLog) -> list[str]:
    notices = []
    last = f"iteration {log.last['iteration']}" if log.scores else "no iteration"
    if log.end and not log.summary:
        was = "failed: " if log.end["kind"] == "failed" else "was "
        notices.append(f"This run {was}{log.end['why']}; {last} is the last that was scored.")
    elif not log.summary:
        notices.append(f"This run is unfinished: there is no summary yet; {last} is its last.")
    if log.damaged_lines:
        lines = "1 line" if log.damaged_lines == 1 else f"{log.damaged_lines} lines"
        notices.append(f"{lines} of metrics.jsonl could not be read.")
    return notices


def _space(log: FitLog) -> tuple[list[Plot], str]:
    """The pictures of the shared space; where there are none, why."""
    model = FitFolder(log.folder).model
    if not model.exists():
        return [], "There is no model yet, and so no picture of the shared space."
    plots = space_plots(log, read_saved(model).rows)
    why = "factors that are not numbers" if log.items else "no items.json, which names what to draw"
    return plots, "" if plots else f"There is no picture of the shared space: {why}."


def _cards(log: FitLog) -> list[Card]:
    metric = log.metric or "score"
    name, best = words.metric_name(metric), log.best
    at = "not scored" if best is None else f"best, iteration {log.scores[best]['iteration']:,}"
    cards = [
        Card(f"Test {name}", words.score(log.test.get(metric)),
             "of what is kept" if log.test else "not scored"),
        Card(f"Valid {name}", words.score(log.valid.get(metric)), at),
    ]  # fmt: skip
    others = [other for other in ("hits@10", "mae") if other in log.test and other != metric]
    cards += [
        Card(f"Test {words.metric_name(other)}", words.score(log.test[other]), "likewise")
        for other in others
    ]
    ended = f"ended: {log.summary['stopped']}" if "stopped" in log.summary else "so far"
    return [
        *cards,
        Card("Iterations", words.count(log.last.get("iteration")), ended),
        Card("Training time", words.duration(log.last.get("time_s")), "without scoring"),
        _last_card(log),
    ]


def _last_card(log: FitLog) -> Card:
    """What ranks send, where there are several."""
    ranks = log.last.get("ranks", [])
    if len(ranks) > 1:
        sent = sum(rank["bytes_sent"] / max(rank["iterations"], 1) for rank in ranks)
        return Card("Sent", words.size(sent), f"an iteration, {len(ranks)} ranks")
    items = sum(modality["items"] for modality in log.modalities.values())
    return Card("Items", words.count(items or None), f"of {len(log.modalities)} modalities")


def _sections(log: FitLog, space: list[Plot]) -> list[Section]:
    score, completion, loss = score_plot(log), completion_plot(log), loss_plot(log)
    sections = [
        Section("Scores", [score] if score else [], score_table(log)),
        Section("By modality", [completion] if completion else [], completion_table(log)),
        Section("Shared space", space, note=_drawn(log) if space else ""),
        Section("Training", [loss] if loss else []),
        Section("Placement", table=placement_table(log)),
        Section("Ranks", table=rank_table(log)),
    ]
    return [section for section in sections if section.plots or section.table]


def _drawn(log: FitLog) -> str:
    """How many items of how many are drawn."""
    each = [
        f"{name} {len(its['items']):,} of {log.modalities[name]['items']:,}"
        for name, its in log.items.items()
        if name in log.modalities
    ]
    return f"the items in most hyperedges are drawn: {', '.join(each)}"


def _details(log: FitLog) -> dict[str, str]:
    versions = json.dumps(log.versions, indent=2, ensure_ascii=False) if log.versions else ""
    folded = {"Config": log.config.strip(), "Versions": versions}
    return {heading: text for heading, text in folded.items() if text}
