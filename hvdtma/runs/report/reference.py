"""Another run of the same graph, whose scores stand beside a run's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.runs.report.record import read_json
from hvdtma.runs.report.run_log import RunLog, read_run
from hvdtma.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Reference:
    """A run to compare with."""

    log: RunLog

    @property
    def label(self) -> str:
        """The name of the run in legends and tables."""
        trainers = "one trainer" if self.log.trainers == 1 else f"{self.log.trainers} trainers"
        return f"{trainers} ({self.log.folder.resolve().name})"


def read_reference(folder: Path, log: RunLog) -> Reference:
    """Read the run to compare another one with.

    Raises UserError if there is no run, if it is the same run, if it has no score, or if it was
    trained on another graph or scored by other metrics.
    """
    other = read_run(expanded(folder))
    if other.folder.resolve() == log.folder.resolve():
        raise UserError(f"the reference is the run itself, {log.folder}; give another run")
    if not other.best_valid:
        raise UserError(f"the reference {other.folder} has no validation score yet")
    graphs = [read_json(RunFolder(run.folder).graph).get("graph") for run in (log, other)]
    if None not in graphs and graphs[0] != graphs[1]:
        raise UserError(
            f"the reference {other.folder} was trained on another graph, or another split of it, "
            f"than {log.folder}; their scores cannot be compared"
        )
    if log.metric and log.metric not in other.best_valid:
        raise UserError(
            f"the reference {other.folder} has no score {log.metric}, but "
            f"{', '.join(other.best_valid)}"
        )
    return Reference(other)
