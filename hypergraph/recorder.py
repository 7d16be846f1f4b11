"""Rank 0's record of a run: events, curves, lines on the console, and the report.

kind         event of metrics.jsonl
start        data, config and placement
iterations   a score: the loss and its terms, validation metrics, counters of each rank
failed       the reason; or `interrupted`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hvdtma.comm.communicator import run_on_all
from hvdtma.core.console import LineLimit, console, on_terminal
from hvdtma.core.errors import UserError
from hvdtma.core.files import write_json
from hvdtma.runs.event_log import EventLog, end_event
from hvdtma.runs.loggers import LoggedRun
from hypergraph.config import HyperLearnConfig
from hypergraph.learn import HyperLearn
from hypergraph.report import write_report
from hypergraph.report.items import choose_items
from hypergraph.run_folder import FitFolder
from hypergraph.train.fit import EventListener
from hypergraph.train.losses import loss_name

SHOWN = ("mrr", "hits@10", "average_precision", "rmse", "mae")


@contextmanager
def recording(model: HyperLearn, run: FitFolder) -> Iterator[EventListener]:
    """A listener that records scores; a report is written at the end, also of a run that fails.

    Entering the block is collective.
    """
    log = run_on_all(model.comm, lambda: None if model.comm.rank else _open_log(model, run))
    if log is None:
        yield lambda _: None
        return
    with log:
        try:
            yield lambda event: _record(log, event)
        except BaseException as error:
            with suppress(UserError, OSError):  # a full disk must not hide the first error
                log.write(end_event(error))
                _report(run)
            raise
    _report(run)


def _open_log(model: HyperLearn, run: FitFolder) -> EventLog:
    write_json(run.items, choose_items(model.data, seed=model.config.seed))
    logged = LoggedRun(run.path, first_step=model.trainer.iterations + 1)
    log = EventLog(run, _printer(), logged=logged)
    log.write(start_event(model))
    return log


def start_event(model: HyperLearn) -> dict:
    """The data, the config and the placement."""
    data, config, split = model.data, model.config, model.split
    assert split is not None
    relations, slots = data.relations.values(), model.placement.slots
    return {
        "kind": "start",
        "relation": split.relation,
        "held_out": {"valid": split.valid.num_hyperedges, "test": split.test.num_hyperedges},
        "metric": config.evaluate.metric,
        "dim": config.model.dim,
        "loss": ", ".join(dict.fromkeys(loss_name(each, config.loss) for each in relations)),
        "ranks": model.comm.size,
        "exchange": _exchange(config),
        "modalities": {
            name: {"items": m.num_items, "rank": slots[name].rank, "device": slots[name].device}
            for name, m in data.modalities.items()
        },
        "relations": {
            each.name: {"modalities": list(each.modalities), "hyperedges": each.num_hyperedges}
            for each in relations
        },
    }


def _record(log: EventLog, event: dict) -> None:
    log.write(event)
    curves = {f"valid/{name}": value for name, value in event["valid"].items()}
    if event["losses"]:  # none before training
        curves["loss"] = event["loss"]
    log.values(curves, event["iteration"])


def _printer() -> EventListener:
    """Prints scores as lines; in a log, as often as `LineLimit` allows."""
    limit = LineLimit()

    def show(event: dict) -> None:
        if event["kind"] == "iterations" and (on_terminal() or limit.allows()):
            console.print(_line(event), markup=False, highlight=False, soft_wrap=True)

    return show


def _line(event: dict) -> str:
    """A score as a line."""
    words = [f"iteration {event['iteration']}: {event['time_s']:.1f} s"]
    if event["losses"]:
        words.append(f"loss {event['loss']:.4f}")
    words += [f"{name} {event['valid'][name]:.4f}" for name in SHOWN if name in event["valid"]]
    return ", ".join(words)


def _report(run: FitFolder) -> None:
    path = write_report(run.path)
    console.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def _exchange(config: HyperLearnConfig) -> str:
    if config.exchange_s is not None:
        return f"every {config.exchange_s:g} s"
    every = config.exchange_steps or 1
    return "every iteration" if every == 1 else f"every {every} iterations"
