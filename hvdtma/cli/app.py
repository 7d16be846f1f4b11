"""The commands. Each imports its modules when it runs, so that --help is fast."""

from __future__ import annotations

from collections.abc import Callable

import typer

from hvdtma.cli import bug_report, cluster, compare, config, graph, planning, runs, sweep, use
from hvdtma.core.command_line import with_expanded_paths
from hvdtma.core.version import __version__

app = typer.Typer(
    help="Train graph neural networks on massive graphs by timed model aggregation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

COMMANDS: list[Callable[..., None]] = [
    *(graph.build, graph.info, graph.verify, graph.partition, graph.export),
    planning.plan,
    *(runs.train, runs.evaluate, runs.embed, use.predict, use.recommend),
    *(runs.report, compare.compare, config.config),
    *(sweep.sweep, cluster.submit, cluster.drive),
    bug_report.bug_report,
]
for command in COMMANDS:
    app.command()(with_expanded_paths(command))


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Train graph neural networks on massive graphs by timed model aggregation."""
    if show:
        typer.echo(f"hvdtma {__version__}")
        raise typer.Exit
