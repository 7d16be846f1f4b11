"""A run as a Python object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.report import write_report
from hvdtma.runs.run_folder import RunFolder


class Run:
    """A training run: its config, events and results, read from its folder.

        run = hvdtma.Run("runs/mine")
        run.summary["test"]["mrr"]

    A run is accepted wherever a path to one is. Raises UserError if there is no run.
    """

    @names_arguments
    def __init__(self, path: FilePath):
        self._folder = RunFolder.open(expanded(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def config(self) -> TrainConfig:
        """The resolved config."""
        return self._folder.config()

    @property
    @names_arguments
    def summary(self) -> dict[str, Any]:
        """The scores and totals of the whole run; raises UserError while the run is not over."""
        if not self._folder.summary.is_file():
            raise UserError(f"{self.path} is not over: it has no {self._folder.summary.name} yet")
        return json.loads(self._folder.summary.read_text())

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The events so far, oldest first: rounds, scores, assignments. `kind` tells them apart."""
        return self._folder.events()

    @names_arguments
    def report(self, reference: FilePath | None = None) -> Path:
        """Write `report.html`, also of a run that is not over, and return its path.

        Args:
            reference: a run on the same graph to compare with, such as one trainer's.

        Raises UserError if the reference cannot be compared with this run.
        """
        return write_report(self.path, None if reference is None else expanded(reference))
