"""Commands on runs: train, evaluate, embed, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.signals import ShutdownSignal

Run = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
Model = Annotated[
    Path,
    typer.Argument(
        help="The folder of a run, or with --store of a pretrained model.", show_default=False
    ),
]
Config = Annotated[
    Path | None,
    typer.Argument(help="A YAML file. Default: the defaults of all keys.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Changes of the config: key=value, such as model.hidden=128."),
]
OrResume = Annotated[
    bool, typer.Option("--or-resume", help="Resume the config's run if it exists.")
]
OverwriteRun = Annotated[
    bool, typer.Option("--overwrite", help="Replace the config's run if it exists.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]


def train(
    config: Config = None,
    overrides: Overrides = None,
    in_process: Annotated[
        int | None,
        typer.Option(
            help="Train as this many trainers in one process, each with its own clock.", min=1
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Resume this run from its newest checkpoint.", show_default=False),
    ] = None,
    or_resume: OrResume = False,
    overwrite: OverwriteRun = False,
    profile: Annotated[
        int | None,
        typer.Option(
            help="Record this many steps of the first trainer with the PyTorch profiler, to "
            "RUN/profile.json.",
            min=1,
            show_default=False,
        ),
    ] = None,
    comm: Annotated[
        str,
        typer.Option(
            help="Transport between trainers: auto | horovod | torch. auto is Horovod under "
            "horovodrun, mpirun and srun; torch.distributed under torchrun, and under srun where "
            "Horovod is not installed."
        ),
    ] = "auto",
) -> None:
    """Train alone, under a launcher, or as several trainers in one process.

    Under horovodrun, torchrun or srun, each process is a trainer. The config or the command line
    must set `store` and `run`, and an end: `rounds`, `time_limit_s` or `evaluate.patience`.
    """
    with ShutdownSignal(process_ends=True) as shutdown:  # before the imports, which take seconds
        from hvdtma.training.launch import train_here

        train_here(
            config,
            [*(overrides or []), *([f"profile={profile}"] if profile else [])],
            resume=resume,
            or_resume=or_resume,
            overwrite=overwrite,
            in_process=in_process,
            transport=comm,
            shutdown=shutdown,
        )


def evaluate(
    run: Model,
    part: Annotated[
        str, typer.Option(help="Part of the held-out links or nodes: valid | test.")
    ] = "test",
    store: Annotated[
        Path | None, typer.Option(help="The store to score on. Default: the run's own.")
    ] = None,
) -> None:
    """Score the best round of a run, and print the metrics as JSON."""
    import json

    from hvdtma.api.results import evaluate as evaluate_run

    typer.echo(json.dumps(evaluate_run(run, part, store=store), indent=2))


def embed(
    run: Model,
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write: .parquet, .zarr, or .npy with the ids in NAME.ids.parquet.",
            show_default=False,
        ),
    ],
    store: Annotated[
        Path | None,
        typer.Option(help="The store whose nodes are embedded. Default: the run's own."),
    ] = None,
    memory_gb: Annotated[
        float | None, typer.Option(help="Memory limit in GiB. Default: the run's own limit.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Embed every node with the best round's model, and write a file keyed by the nodes' ids."""
    from hvdtma.api.results import embed as embed_run

    made = embed_run(run, out, store=store, memory_gb=memory_gb, overwrite=overwrite)
    typer.echo(f"{out}: {made.num_nodes:,} nodes, {made.dim} dimensions, of round {made.round}")


def report(
    run: Run,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="A run on the same graph to compare with, such as one trainer's.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the report.html of a run, also while the run is training."""
    from hvdtma.runs.report import write_report
    from hvdtma.runs.run_folder import RunFolder

    typer.echo(str(write_report(RunFolder.open(run).path, reference)))
