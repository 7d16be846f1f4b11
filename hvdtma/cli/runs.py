"""Commands on runs: train, evaluate, embed, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.errors import UserError
from hvdtma.core.signals import Interrupt

Run = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
Config = Annotated[Path | None, typer.Argument(help="A YAML config.", show_default=False)]
OrResume = Annotated[
    bool, typer.Option("--or-resume", help="Go on with the config's run if it was begun before.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def train(
    config: Config = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, e.g. model.hidden=128")
    ] = None,
    in_process: Annotated[
        int | None,
        typer.Option(help="So many trainers in this process, on a virtual clock.", min=1),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run from its newest checkpoint.", show_default=False),
    ] = None,
    requeued: OrResume = False,
    overwrite: Overwrite = False,
) -> None:
    """Train: alone, under `srun`, `horovodrun -np M`, or as --in-process M trainers."""
    with Interrupt() as interrupt:  # before all that takes time
        _train(interrupt, config, overrides, in_process, resume, requeued, overwrite)


def _train(
    interrupt: Interrupt,
    config: Path | None,
    overrides: list[str] | None,
    in_process: int | None,
    resume: Path | None,
    requeued: bool,
    overwrite: bool,
) -> None:
    from hvdtma.comm import InProcessGroup
    from hvdtma.comm.communicator import Communicator
    from hvdtma.comm.launch import join_unless_interrupted
    from hvdtma.core.launcher import launched_as
    from hvdtma.runs.report import write_report
    from hvdtma.runs.request import check_here, train_request
    from hvdtma.runs.summary import print_summary
    from hvdtma.training.session import train as train_as

    check_here(resume, config)
    wanted = train_request(
        config, overrides, resume=resume, or_resume=requeued, overwrite=overwrite
    )

    def run(comm: Communicator) -> None:
        summary = train_as(
            wanted.config,
            comm,
            mode=wanted.mode,
            interrupt=interrupt,
            report=write_report,
        )
        if summary:
            print_summary(wanted.config.run, summary)

    if not in_process:
        run(
            join_unless_interrupted(
                interrupt, wanted.config.run.parent, elastic=wanted.config.elastic
            )
        )
        return
    _, started = launched_as()
    if started > 1:
        raise UserError(
            f"--in-process {in_process} trains in one process, but a launcher started {started}; "
            "leave one of the two out"
        )
    InProcessGroup(in_process).run(run)


def evaluate(
    run: Run,
    part: Annotated[str, typer.Option(help="valid | test")] = "test",
    store: Annotated[
        Path | None, typer.Option(help="Score on this store instead of the run's.")
    ] = None,
) -> None:
    """Score a run's best round; prints the metrics as JSON."""
    import json

    from hvdtma.evaluation.best_model import load_best
    from hvdtma.evaluation.score import Scorer
    from hvdtma.evaluation.scratch import check_scoring_scratch

    if part not in ("valid", "test"):
        raise UserError(f"part is '{part}'; valid: valid, test")
    best = load_best(run, store)
    config = best.config.model_copy(
        update={"evaluate": best.config.evaluate.model_copy(update={"max_links": 0})}
    )
    check_scoring_scratch(config, best.store)
    metrics = Scorer(config, best.store)(best.model, part)
    facts = {"round": best.round, "part": part, "scored_sample": config.evaluate.sample or None}
    typer.echo(json.dumps(facts | metrics, indent=2))


def embed(
    run: Run,
    out: Annotated[Path, typer.Option(help="emb.parquet or emb.zarr", show_default=False)],
    store: Annotated[
        Path | None, typer.Option(help="Embed this store's nodes instead of the run's.")
    ] = None,
    memory_gb: Annotated[
        float | None, typer.Option(help="GiB to stay under; default the run's own limit.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the embedding of every node, keyed by its own id."""
    from hvdtma.evaluation.best_model import load_best
    from hvdtma.evaluation.budget import ScoringBudget, embedding_requirement, scratch_bytes
    from hvdtma.evaluation.scratch import check_scratch
    from hvdtma.evaluation.write import write_embeddings

    best = load_best(run, store)
    config = best.config
    if memory_gb is not None:
        config = config.model_copy(update={"memory_gb": memory_gb})
    budget = ScoringBudget.of(config, embedding_requirement(config, best.store))
    check_scratch(budget.folder, scratch_bytes(config, best.store, budget))
    rows, dim = write_embeddings(best.model, best.store, out, overwrite=overwrite, budget=budget)
    typer.echo(f"{out}: {rows:,} nodes, {dim} dimensions, of round {best.round}")


def report(run: Run) -> None:
    """Write a run's report.html again (a run that is still going can be looked at so)."""
    from hvdtma.runs.report import write_report
    from hvdtma.runs.run_folder import RunFolder

    typer.echo(str(write_report(RunFolder.open(run).path)))
