"""The folder of a sweep, from which it resumes.

sweep.json      the keys, the search, the seed and the config: a sweep resumes with the same ones
trials.jsonl    one line when a trial starts and one when it ends
trials/001-optimizer.lr=0.003/    the run of a trial; beside it NAME.yaml, its config, and NAME.log
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json, replacing_folder, write_json
from hvdtma.core.places import check_new_folder, check_not_inside
from hvdtma.runs.folder import read_lines
from hvdtma.sweeps.trial import Trial
from slurm.sweep import folder_name

MAX_NAME = 120  # a file system takes names of 255 bytes


class SweepFolder:
    """The folder of a sweep, which may not exist yet."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.plan = self.path / "sweep.json"
        self.log = self.path / "trials.jsonl"
        self.runs = self.path / "trials"

    def open(self, plan: dict[str, Any], *needed: Path, overwrite: bool) -> None:
        """Make the folder, or open it to resume. An earlier sweep stays until the new one is there.

        Args:
            needed: files and folders that the trials read.

        Raises UserError if the folder is something else, a sweep with another plan, or one that
        may not be removed.
        """
        self.check_kind()
        if self.plan.is_file() and not overwrite:
            self._check(json.loads(self.plan.read_text()), plan)
            return
        check_not_inside(self.path, *needed)
        with replacing_folder(self.path) as new:
            (new / self.runs.name).mkdir()
            write_json(new / self.plan.name, plan)

    def check_kind(self) -> None:
        """Raise UserError if no sweep may be here: the folder is something else, or in another."""
        if self.path.exists() and not self.plan.is_file():
            what = "is a run" if (self.path / "config.yaml").exists() else "is no sweep"
            raise UserError(f"{self.path} exists and {what}; give run=ANOTHER")
        check_new_folder(self.path)

    def _check(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        changed = [
            f"{key} was {before.get(key)} and is {now.get(key)}"
            for key in before | now
            if before.get(key) != now.get(key)
        ]
        if changed:
            raise UserError(
                f"{self.path} is another sweep: {'; '.join(changed)}. Give run=ANOTHER, or "
                "--overwrite to remove it with its trials"
            )

    def new_trial(self, number: int, words: Sequence[str]) -> Trial:
        """A trial with a folder of its own."""
        name = f"{number:03d}-{folder_name(words)}".encode()[:MAX_NAME].decode(errors="ignore")
        return Trial(number, list(words), self.runs / name)

    def trials(self) -> dict[int, Trial]:
        """The last known state of each trial by its number."""
        found = {}
        for line in read_lines(self.log):
            trial = Trial(**line | {"run": self.runs / line["run"]})
            found[trial.number] = trial
        return found

    def record(self, trial: Trial) -> None:
        """Append the state of a trial."""
        append_json(self.log, asdict(trial) | {"run": trial.run.name})
