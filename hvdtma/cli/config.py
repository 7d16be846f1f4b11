"""The command that writes the reference of all config keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INTRO = """\
The config of `hvdtma train`: every key, with its default. Keys may be left out.
Set `store` and `run`, and one of `rounds`, `time_limit_s` and `evaluate.patience`, which ends the
run. A key can also be set on the command line: hvdtma train CONFIG model.hidden=128"""
TITLE = "Config keys of hvdtma train"
EXAMPLES = {"store": "data/graph.zarr", "run": "runs/first"}
MADE = "This page is made by `hvdtma config --markdown --out docs/config.md --overwrite`."


def config(
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: stdout.", show_default=False)
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Write Markdown tables, as in docs/config.md, instead of YAML."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Write a config with every key, its default, its meaning and its valid values."""
    from hvdtma.core import config_reference as reference
    from hvdtma.core.train_config import TrainConfig

    if markdown:
        text = reference.markdown(TrainConfig, TITLE, f"{INTRO}\n\n{MADE}")
    else:
        text = reference.commented_yaml(TrainConfig, INTRO, EXAMPLES)
    reference.write_reference(text, out, overwrite=overwrite)
