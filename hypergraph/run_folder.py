"""The folder of a run.

config.yaml              the whole config            versions.json   versions, git, command
metrics.jsonl            one event per line          tensorboard/    the same as curves
checkpoint.safetensors   all that the run goes on from if it is cut short
model.safetensors        what was learned            summary.json    scores, where it was trained
items.json               what a report draws         report.html     what a person opens

Beside it, `.NAME.lock` is held by whoever trains it (`hvdtma.runs.folder`).
"""

from __future__ import annotations

from pathlib import Path

from hvdtma.core.config import dump_config, load_as
from hvdtma.core.errors import UserError
from hvdtma.runs.folder import Folder, keep_lines
from hypergraph.config import RunConfig

MODEL, CHECKPOINT, ITEMS = "model.safetensors", "checkpoint.safetensors", "items.json"
ENDS = ("failed", "interrupted")  # events that a run which goes on leaves behind


class FitFolder(Folder):
    """A run's folder, new or found again."""

    maker = "python -m hypergraph train"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self.model = self.path / MODEL
        self.checkpoint = self.path / CHECKPOINT
        self.items = self.path / ITEMS

    def create(self, config: RunConfig, *, overwrite: bool) -> None:
        """Make the folder of a new run, whole or not at all.

        Raises UserError if something is there, and may not be replaced.
        """
        self.make_room(*config.inputs, overwrite=overwrite)
        with self.making(config.resolved) as beside:
            (beside / self.metrics.name).touch()

    def check_learned(self) -> None:
        """Raises UserError if there is no run, or it has not been trained to its end."""
        self.check_there()
        if not self.model.is_file():
            raise UserError(
                f"{self.path} is not trained to its end: it has no {MODEL} yet; unless it is being "
                f"trained now, go on with: {self.maker} --resume {self.path}"
            )

    def config(self) -> RunConfig:
        return load_as(RunConfig, self.config_file)

    def rewind(self, config: RunConfig, iterations: int) -> None:
        """Forget what came after a checkpoint, and take on the config to go on with."""
        dump_config(config.resolved, self.config_file)
        self.summary.unlink(missing_ok=True)
        keep_lines(self.metrics, lambda event: _is_before(event, iterations))


def _is_before(event: dict, iterations: int) -> bool:
    """Whether an event was logged before a checkpoint."""
    return event["kind"] not in ENDS and event.get("iteration", 0) <= iterations
