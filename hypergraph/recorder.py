"""What rank 0 writes down while a run goes on: events, curves, lines; at last a report.

kind         event of metrics.jsonl
start        what is trained on what, and where
iterations   a score: loss, its terms, validation metrics, what each rank did so far
failed       why; or `interrupted`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch.utils.tensorboard import SummaryWriter

from hvdtma.comm.communicator import run_on_rank0
from hvdtma.core.console import console
from hvdtma.core.errors import Interrupted
from hvdtma.core.files import append_json, write_json
from hypergraph.config import TrainConfig
from hypergraph.learn import HyperLearn
from hypergraph.report import write_report
from hypergraph.report.items import choose_items
from hypergraph.run_folder import FitFolder
from hypergraph.train.fit import Callback
from hypergraph.train.losses import loss_name

SHOWN = ("mrr", "hits@10", "average_precision", "rmse", "mae")


@contextmanager
def recording(model: HyperLearn, run: FitFolder) -> Iterator[Callback]:
    """What to tell of each score; a collective call at first. However it ends, a report is left."""
    run_on_rank0(model.comm, lambda: _begin(model, run))
    if model.comm.rank:
        yield lambda _: None
        return
    try:
        with _board(run, model.learner.iterations) as board:
            yield lambda event: _record(run, board, event)
    except BaseException as error:
        with suppress(OSError):  # a full disk, say: what went wrong first is what is told
            append_json(run.metrics, _end(error))
            _report(run)
        raise
    _report(run)


def start_event(model: HyperLearn) -> dict:
    """What is trained on what, and where."""
    data, config, split = model.data, model.config, model.split
    assert split is not None
    relations, places = data.relations.values(), model.placement.places
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
            name: {"items": m.num_items, "rank": places[name].rank, "device": places[name].device}
            for name, m in data.modalities.items()
        },
        "relations": {
            each.name: {"modalities": list(each.modalities), "hyperedges": each.num_hyperedges}
            for each in relations
        },
    }


def _board(run: FitFolder, iterations: int) -> SummaryWriter:
    """Curves, without what a run that was cut short drew after so many iterations."""
    return SummaryWriter(str(run.path / "tensorboard"), purge_step=iterations + 1)


def _begin(model: HyperLearn, run: FitFolder) -> None:
    write_json(run.items, choose_items(model.data, seed=model.config.seed))
    append_json(run.metrics, start_event(model))


def _record(run: FitFolder, board: SummaryWriter, event: dict) -> None:
    append_json(run.metrics, event)
    words = [f"iteration {event['iteration']}: {event['time_s']:.1f} s"]
    if event["losses"]:  # none before training
        words.append(f"loss {event['loss']:.4f}")
        board.add_scalar("loss", event["loss"], event["iteration"])
    words += [f"{name} {event['valid'][name]:.4f}" for name in SHOWN if name in event["valid"]]
    console.print(", ".join(words), markup=False, highlight=False, soft_wrap=True)
    for name, value in event["valid"].items():
        board.add_scalar(f"valid/{name}", value, event["iteration"])


def _end(error: BaseException) -> dict:
    if isinstance(error, KeyboardInterrupt):
        return {"kind": "interrupted", "why": "interrupted"}
    kind = "interrupted" if isinstance(error, Interrupted) else "failed"
    return {"kind": kind, "why": str(error) or type(error).__name__}


def _report(run: FitFolder) -> None:
    console.print(
        f"report: {write_report(run.path)}", markup=False, highlight=False, soft_wrap=True
    )


def _exchange(config: TrainConfig) -> str:
    if config.exchange_s is not None:
        return f"every {config.exchange_s:g} s"
    every = config.exchange_steps or 1
    return "every iteration" if every == 1 else f"every {every} iterations"
