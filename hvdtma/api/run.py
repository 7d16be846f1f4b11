"""A run as a Python object."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.api.asking import ModelOnGraph
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.best_model import load_best
from hvdtma.evaluation.predictor import Predictor
from hvdtma.evaluation.pretrained import save_run
from hvdtma.runs.report import write_report
from hvdtma.runs.run_folder import RunFolder
from hvdtma.tasks import Model


class Run(ModelOnGraph):
    """A training run: its config, events and results, and its best model.

        run = hvdtma.Run("runs/mine")
        run.summary["test"]["mrr"]
        run.topk("lodash", 10)

    A run is accepted wherever a path to one is. The model of the best round is loaded, and all
    nodes are embedded, when the first question is asked; both are kept.

    Args:
        path: the folder.
        store: another store to ask about; None: the run's own.
        memory_gb: memory limit of this process in GiB, for questions; None: the run's own limit.

    Raises UserError if there is no run.
    """

    @names_arguments
    def __init__(
        self, path: FilePath, *, store: FilePath | None = None, memory_gb: float | None = None
    ):
        self._folder = RunFolder.open(expanded(path))
        self._store = None if store is None else expanded(store)
        self._memory_gb = memory_gb

    @classmethod
    def load(
        cls, path: FilePath, *, store: FilePath | None = None, memory_gb: float | None = None
    ) -> Run:
        """The same as `Run(path)`."""
        return cls(path, store=store, memory_gb=memory_gb)

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
        return self._folder.read_summary()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The events so far, oldest first: rounds, scores, assignments. `kind` tells them apart."""
        return self._folder.events()

    @property
    def model(self) -> Model:
        """The model of the best round, an `nn.Module` with `encoder` and `head`, in eval mode."""
        return self.predictor.model

    @cached_property
    def predictor(self) -> Predictor:
        """The model of the best round with its store; raises UserError if they do not fit."""
        best = load_best(self.path, self._store, scored=False)
        return Predictor.of(best, self._memory_gb)

    @names_arguments
    def report(self, reference: FilePath | None = None) -> Path:
        """Write `report.html`, also of a run that is not over, and return its path.

        Args:
            reference: a run on the same graph to compare with, such as one trainer's.

        Raises UserError if the reference cannot be compared with this run.
        """
        return write_report(self.path, None if reference is None else expanded(reference))

    @names_arguments
    def save_pretrained(
        self, folder: FilePath, *, licence: str | None = None, overwrite: bool = False
    ) -> Path:
        """Write the model of the best round to a folder that `from_pretrained` reads.

        Args:
            folder: it gets `model.safetensors`, `config.json` and a model card, `README.md`.
            licence: of the data, for the card.
            overwrite: replace a pretrained model that is there.

        Raises UserError if the run has no round, and if the folder exists.
        """
        return save_run(self._folder, expanded(folder), licence=licence, overwrite=overwrite)
