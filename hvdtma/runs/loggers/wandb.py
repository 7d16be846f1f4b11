"""Weights & Biases (wandb.ai)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hvdtma.runs.loggers.logger import LoggedRun, library


class WeightsAndBiases:
    """Logs to a project of Weights & Biases; `options` are further arguments of `wandb.init`."""

    def __init__(self, project: str = "hvdtma", **options: Any):
        self.wandb = library("wandb", "wandb")
        self.options = {"project": project, **options}

    def start(self, run: LoggedRun) -> None:
        given: dict[str, Any] = {"id": run.id, "resume": "allow", "name": run.folder.name}
        given |= {"dir": str(run.folder), "config": dict(run.settings)}
        self.run = self.wandb.init(**given | self.options)
        self.run.define_metric("*", step_metric="round")  # its own step must not fall

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log({**values, "round": step})

    def finish(self) -> None:
        self.run.finish()
