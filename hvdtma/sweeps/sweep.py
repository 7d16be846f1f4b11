"""A sweep: what was asked for, checked, and the record of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hvdtma.core.config import dump_config, flattened, load_as, override_values
from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError
from hvdtma.core.threads import num_workers
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.event_text import number_text
from hvdtma.sweeps.folder import SweepFolder
from hvdtma.sweeps.search import Search, make_search
from hvdtma.sweeps.space import read_space
from hvdtma.sweeps.trial import Trial, best_of
from hvdtma.training.check_start import check_start


@dataclass(frozen=True)
class SweepRequest:
    """A sweep.

    Attributes:
        config: see `hvdtma.core.config.load_as`.
        words: keys with their values, and plain overrides `key=value`.
        trials: number of trials; None: all combinations.
        search: auto, grid, random or tpe.
        seed: of the search.
        jobs: trials at a time.
        in_process: trainers of each trial in its process; None: `trainers` of the config, or one.
        overwrite: remove an earlier sweep in the folder, with its trials.
        retry_failed: run failed trials again.
        cluster: `slurm` or `local` to submit all trials at once; None: processes of this command.
        resources: of the jobs, see `submit_trials`.
        watch: follow the submitted jobs to their end.
    """

    config: Any
    words: Sequence[str]
    trials: int | None = None
    search: str = "auto"
    seed: int = 0
    jobs: int = 1
    in_process: int | None = None
    overwrite: bool = False
    retry_failed: bool = False
    cluster: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    watch: bool = False


class Sweep:
    """A sweep whose request has been checked.

    Raises UserError for a key, a value or a config that is not valid, for a search that does not
    fit the space, and if the folder holds something else. Then nothing has been made.
    """

    def __init__(self, request: SweepRequest):
        self.request = request
        self.space, self.plain = read_space(request.words)
        on_cluster = request.cluster is not None
        self.base = self._checked_base()
        self.search: Search = make_search(
            request.search, self.space, request.trials, request.seed, at_once=on_cluster
        )
        trainers = request.in_process or self.base.trainers
        if on_cluster and request.jobs > 1:
            raise UserError("--jobs is for trials in this command; give --array-parallel")
        if not on_cluster and request.resources.get("array_parallel"):
            raise UserError("--array-parallel is for --cluster; give --jobs")
        if on_cluster and request.in_process:
            raise UserError("--in-process is for trials in this command; give --tasks-per-node")
        self.in_process = trainers if trainers != 1 and not on_cluster else None
        self.folder = SweepFolder(self.base.run)
        if not on_cluster:  # `submit` checks by itself
            new = self.folder.new_trial(0, []).run  # a run of an earlier sweep may have its name
            check_start(self.base.resolved.model_copy(update={"run": new}), trainers or 1)
        self.folder.open(self._plan(), overwrite=request.overwrite)
        self.known = self.folder.trials()

    def _checked_base(self) -> TrainConfig:
        """The config with the first value of each key, after a check of every value."""
        configs = [self._load(point) for point in self.space.checked_points()]
        return configs[0]

    def _load(self, words: Sequence[str]) -> TrainConfig:
        changes = override_values(TrainConfig, [*self.plain, *words])
        return load_as(TrainConfig, self.request.config, changes)

    def _plan(self) -> dict[str, Any]:
        """The facts that all trials have in common; a sweep resumes with the same ones."""
        values = flattened(self.base.resolved.model_dump(mode="json"))
        fixed = {key: value for key, value in values.items() if key not in self.space.keys}
        del fixed["run"]
        keys = {key: str(values) for key, values in self.space.keys.items()}
        return {"keys": keys, "search": self.search.name, "seed": self.request.seed, **fixed}

    def _config(self, trial: Trial) -> TrainConfig:
        """The config of a trial; raises UserError if its values do not go together."""
        config = self._load(trial.words).resolved
        changes: dict[str, Any] = {"run": trial.run}
        if config.threads is None and self.request.jobs > 1:
            changes["threads"] = max(1, num_workers() // self.request.jobs)
        return config.model_copy(update=changes)

    @property
    def trials(self) -> list[Trial]:
        """The trials so far, by number."""
        return [self.known[number] for number in sorted(self.known)]

    def todo(self) -> list[int]:
        """The trials that have no result, and failed ones if they are tried again."""
        done = {"finished"} if self.request.retry_failed else {"finished", "failed"}
        return [
            number
            for number in range(1, self.search.trials + 1)
            if number not in self.known or self.known[number].state not in done
        ]

    def next_trial(self, number: int) -> tuple[Trial, Path | None]:
        """Start the record of a trial; its config file is None if its values are not valid."""
        earlier = self.known.get(number)
        words = earlier.words if earlier else self.search.propose(number, self.trials)
        trial = self.folder.new_trial(number, words)
        try:
            config = self._config(trial)
        except UserError as error:
            self.keep(trial.failed(str(error)))
            return self.known[number], None
        self.keep(trial)
        path = trial.run.with_name(f"{trial.run.name}.yaml")
        dump_config(config, path)
        return trial, path

    def keep(self, trial: Trial) -> None:
        """Record a trial, and print its result."""
        self.known[trial.number] = trial
        self.folder.record(trial)
        title = f"trial {trial.number} of {self.search.trials} ({' '.join(trial.words)})"
        if trial.state == "failed":
            warn(f"{title} failed: {trial.why}")
        elif trial.score is not None:
            best = ", the best so far" if best_of(self.trials) is trial else ""
            text = f"{title}: valid {trial.metric} {number_text(trial.score)}{best}"
            console.print(text, markup=False, soft_wrap=True)
