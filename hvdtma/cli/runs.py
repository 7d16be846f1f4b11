"""Commands on runs: train, evaluate, embed, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.signals import ShutdownSignal

Run = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Argument(help="A YAML file. Without one, the defaults are used.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="key=value: changes of the config, e.g. model.hidden=128."),
]
OrResume = Annotated[
    bool, typer.Option("--or-resume", help="Continue the config's run if it was begun before.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]


def train(
    config: Config = None,
    overrides: Overrides = None,
    in_process: Annotated[
        int | None,
        typer.Option(
            help="Train this many trainers in one process, each with a clock of its own.", min=1
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Continue this run from its newest checkpoint.", show_default=False),
    ] = None,
    or_resume: OrResume = False,
    overwrite: Overwrite = False,
    comm: Annotated[
        str,
        typer.Option(
            help="Transport between trainers: auto, horovod or torch. auto is Horovod under "
            "horovodrun and srun, torch.distributed under torchrun, and under srun if Horovod is "
            "not installed."
        ),
    ] = "auto",
) -> None:
    """Train: alone, under a launcher, or as several trainers in one process.

    Under horovodrun, torchrun or srun each process is a trainer. The config or the command line
    must set `store` and `run`, and an end: `rounds`, `time_limit_s` or `evaluate.patience`.
    """
    with ShutdownSignal(process_ends=True) as shutdown:  # before the imports, which take seconds
        from hvdtma.training.launch import train_here

        train_here(
            config,
            overrides or [],
            resume=resume,
            or_resume=or_resume,
            overwrite=overwrite,
            in_process=in_process,
            transport=comm,
            shutdown=shutdown,
        )


def evaluate(
    run: Run,
    part: Annotated[str, typer.Option(help="Held-out links or nodes: valid | test.")] = "test",
    store: Annotated[
        Path | None, typer.Option(help="Score on this store. Default: the run's own.")
    ] = None,
) -> None:
    """Score the best round of a run, and print the metrics as JSON."""
    import json

    from hvdtma.api.results import evaluate as evaluate_run

    typer.echo(json.dumps(evaluate_run(run, part, store=store), indent=2))


def embed(
    run: Run,
    out: Annotated[
        Path, typer.Option(help="The file to write: NAME.parquet or NAME.zarr.", show_default=False)
    ],
    store: Annotated[
        Path | None, typer.Option(help="Embed the nodes of this store. Default: the run's own.")
    ] = None,
    memory_gb: Annotated[
        float | None, typer.Option(help="Memory limit in GiB. Default: the run's own limit.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write an embedding of every node, keyed by the node's id, with the best round's model."""
    from hvdtma.api.results import embed as embed_run

    made = embed_run(run, out, store=store, memory_gb=memory_gb, overwrite=overwrite)
    typer.echo(f"{out}: {made.num_nodes:,} nodes, {made.dim} dimensions, of round {made.round}")


def report(run: Run) -> None:
    """Write report.html of a run, also of a run that is not over."""
    from hvdtma.runs.report import write_report
    from hvdtma.runs.run_folder import RunFolder

    typer.echo(str(write_report(RunFolder.open(run).path)))
