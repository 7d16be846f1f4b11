"""The command that compares runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of runs, or folders that hold runs, such as RUN/trials of a sweep.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Draw the comparison: a page, such as compare.html.", show_default=False),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="The metric to compare. Default: the one that chooses the best round.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Compare runs: scores with their spread over seeds, and the settings that differ."""
    from hvdtma.api.compare import compare as compare_runs
    from hvdtma.core.console import results
    from hvdtma.runs.report.compare_text import print_comparison

    compared = compare_runs(runs or [], metric=metric, out=out, overwrite=overwrite)
    print_comparison(compared, results())
    if out is not None:
        typer.echo(str(out))
