"""The folder of a run.

config.yaml              the whole config            versions.json   versions, git, command
metrics.jsonl            one event per line          tensorboard/    the same as curves
checkpoint.safetensors   all that the run goes on from if it is cut short
model.safetensors        what was learned            summary.json    scores, where it was trained
items.json               what a report draws         report.html     what a person opens

Beside it, `.NAME.lock` is held by whoever trains it (`hvdtma.train.folder`).
"""

from __future__ import annotations

from pathlib import Path

from hvdtma.config import dump_config, load_as
from hvdtma.train.folder import Folder, keep_lines
from hypergraph.config import RunConfig

CONFIG, METRICS, SUMMARY = "config.yaml", "metrics.jsonl", "summary.json"
MODEL, CHECKPOINT, ITEMS = "model.safetensors", "checkpoint.safetensors", "items.json"


class RunFolder(Folder):
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
        self.make_room(*inputs(config), overwrite=overwrite)
        with self.making(config) as beside:
            (beside / METRICS).touch()

    def config(self) -> RunConfig:
        return load_as(RunConfig, self.config_file)

    def rewind(self, config: RunConfig, iterations: int) -> None:
        """Forget what came after a checkpoint, and take on the config to go on with."""
        dump_config(config, self.config_file)
        self.summary.unlink(missing_ok=True)
        keep_lines(self.metrics, lambda event: _is_before(event, iterations))


def _is_before(event: dict, iterations: int) -> bool:
    """Whether an event was logged before a checkpoint."""
    passing = ("failed", "interrupted")  # what a run that goes on leaves behind
    return event["kind"] not in passing and event.get("iteration", 0) <= iterations


def inputs(config: RunConfig) -> list[Path]:
    """What is read from the disk, as far as the config names it."""
    tate = config.data.tate
    artworks = None if tate is None else tate.artworks
    named = (config.data.hypergraph, artworks, config.warm_start)
    return [path for path in named if path is not None]
