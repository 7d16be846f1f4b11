"""The command line: `python -m hypergraph train | evaluate | complete | report | config | info`.

The commands import modules when they run, so that --help is fast.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.command_line import with_expanded_paths
from hvdtma.core.errors import UserError
from hvdtma.core.signals import ShutdownSignal

app = typer.Typer(
    help="Learn one representation from many modalities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
INTEGER = re.compile("-?[0-9]{1,19}")  # as many digits as an int64 may have
Run = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]
Config = Annotated[Path, typer.Argument(help="A YAML file.", show_default=False)]
OptionalConfig = Annotated[
    Path | None,
    typer.Argument(help="A YAML file. Not needed with --resume.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Changes of the config: key=value, such as model.dim=128."),
]


@app.command()
@with_expanded_paths
def train(
    config: OptionalConfig = None,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None, typer.Option(help="Resume this run from its checkpoint.", show_default=False)
    ] = None,
    or_resume: Annotated[
        bool, typer.Option("--or-resume", help="Resume the config's run if it exists.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the config's run if it exists.")
    ] = False,
) -> None:
    """Train in one process, or with modalities divided among processes.

    `srun` or `horovodrun -np K` starts K processes.
    """
    with ShutdownSignal(process_ends=True) as shutdown:  # before everything that takes long
        from hvdtma.comm.join import join_unless_interrupted
        from hvdtma.runs.request import check_here, run_request
        from hypergraph.config import RunConfig
        from hypergraph.run import train_run
        from hypergraph.run_folder import FitFolder

        check_here(resume, config)
        request = run_request(
            RunConfig,
            FitFolder,
            config,
            overrides,
            resume=resume,
            or_resume=or_resume,
            overwrite=overwrite,
        )
        comm = join_unless_interrupted(shutdown, request.config.run.parent)
        summary = train_run(request.config, comm, mode=request.mode, shutdown=shutdown)
        if comm.rank == 0 and summary is not None:
            typer.echo(json.dumps(summary, indent=2))


@app.command()
@with_expanded_paths
def evaluate(
    run: Run,
    part: Annotated[
        str, typer.Option(help="Part of the held-out hyperedges: valid | test.")
    ] = "test",
) -> None:
    """Score the held-out hyperedges of a run, and print the metrics as JSON."""
    from hypergraph.run import open_run

    typer.echo(json.dumps(open_run(run).evaluate(part), indent=2))


@app.command()
@with_expanded_paths
def complete(
    run: Run,
    missing: Annotated[
        str, typer.Option(help="The modality of the missing item.", show_default=False)
    ],
    known: Annotated[
        list[str] | None,
        typer.Argument(
            help="Known items: modality=id, such as artist='William Blake'.", show_default=False
        ),
    ] = None,
    relation: Annotated[
        str | None,
        typer.Option(
            help="Relation of the hyperedge. Default: the one with held-out hyperedges.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of items to print.", min=1)] = 10,
) -> None:
    """Print the items most likely to complete a hyperedge, with their scores."""
    from hypergraph.run import open_run

    model = open_run(run)
    items: dict[str, int | str] = {}
    for pair in known or []:
        name, equals, item = pair.partition("=")
        if not equals:
            raise UserError(f"'{pair}' names no modality; write modality=id")
        modality = model.data.modality(name)
        integers = modality.ids is None or modality.ids.dtype.kind == "i"
        items[name] = int(item) if integers and INTEGER.fullmatch(item) else item
    assert model.split is not None
    best = model.complete(relation or model.split.relation, items, missing, top=top)
    for found, score in best:
        typer.echo(f"{score:10.4f}  {found}")


@app.command()
@with_expanded_paths
def report(run: Run) -> None:
    """Write the report.html of a run, also while the run is training."""
    from hypergraph.report import write_report

    typer.echo(str(write_report(run)))


@app.command()
@with_expanded_paths
def config(
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: stdout.", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Write a config with every key, its default, its meaning and its valid values."""
    from hvdtma.core.config_reference import commented_yaml, write_reference
    from hypergraph.config import RunConfig

    intro = (
        "The config of `python -m hypergraph train`: every key, with its default. Keys may be left "
        "out. Set `run` and one source of `data`."
    )
    text = commented_yaml(RunConfig, intro, {"run": "runs/first"})
    write_reference(text, out, overwrite=overwrite)


@app.command()
@with_expanded_paths
def info(
    config: Config,
    overrides: Overrides = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="An HTML file to write, with charts of the data.", show_default=False),
    ] = None,
) -> None:
    """Print the modalities, relations and degrees of a config's data."""
    from hvdtma.core.config import load_as
    from hypergraph.config import RunConfig
    from hypergraph.data import describe
    from hypergraph.data.plot import write_plot
    from hypergraph.load import load_data

    graph = load_data(load_as(RunConfig, config, overrides).data)
    describe(graph)
    if plot:
        plot.absolute().parent.mkdir(parents=True, exist_ok=True)
        typer.echo(f"plot: {write_plot(graph, plot, title=config.stem)}")
