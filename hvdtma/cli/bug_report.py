"""The command that prints what a report of a bug should say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bug_report(
    run: Annotated[
        Path | None,
        typer.Argument(help="The folder of the run that failed.", show_default=False),
    ] = None,
) -> None:
    """Print versions, the machine and how a run ended, for a report; no ids, no paths."""
    from hvdtma.runs import bug_report as reports

    typer.echo(reports.bug_report(run), nl=False)
