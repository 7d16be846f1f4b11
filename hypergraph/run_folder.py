"""The folder of a run of HyperLearn.

config.yaml              the whole config            versions.json   versions, git, command
metrics.jsonl            one event per line          tensorboard/    the same as curves
checkpoint.safetensors   the state that a run is resumed from
model.safetensors        the learned model           summary.json    scores and placement
items.json               the items that the report draws             report.html

The process that trains the run locks `.NAME.lock` beside the folder (`hvdtma.runs.lock`).
"""

from __future__ import annotations

from pathlib import Path

from hvdtma.core.config import dump_config, load_as
from hvdtma.core.errors import UserError
from hvdtma.runs.folder import ENDS, BaseRunFolder, keep_lines
from hypergraph.config import RunConfig

MODEL, CHECKPOINT, ITEMS = "model.safetensors", "checkpoint.safetensors", "items.json"


class FitFolder(BaseRunFolder):
    """The folder of a run of HyperLearn (`python -m hypergraph train`), which may not exist yet."""

    command = "python -m hypergraph train"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self.model = self.path / MODEL
        self.checkpoint = self.path / CHECKPOINT
        self.items = self.path / ITEMS

    def create(self, config: RunConfig, *, overwrite: bool) -> None:
        """Create the folder of a new run, atomically.

        Raises UserError if the folder holds something that may not be replaced.
        """
        with self.making(config.resolved, *config.inputs, overwrite=overwrite) as temporary:
            (temporary / self.metrics.name).touch()

    def check_learned(self) -> None:
        """Raises UserError if there is no run, or its training has not ended."""
        self.check_there()
        if not self.model.is_file():
            raise UserError(
                f"{self.path} is not trained to the end: it has no {MODEL} yet. Unless it is being "
                f"trained now, resume it with: {self.resume_command}"
            )

    def config(self) -> RunConfig:
        return load_as(RunConfig, self.config_file)

    def rewind(self, config: RunConfig, iterations: int) -> None:
        """Drop everything after a checkpoint, and write the config to resume with."""
        dump_config(config.resolved, self.config_file)
        for left in (self.summary, self.outdated):
            left.unlink(missing_ok=True)
        keep_lines(self.metrics, lambda event: _is_before(event, iterations))


def _is_before(event: dict, iterations: int) -> bool:
    """Whether an event was logged before a checkpoint."""
    return event["kind"] not in ENDS and event.get("iteration", 0) <= iterations
