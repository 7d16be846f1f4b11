"""The jobs of a submission: one run, the runs of a sweep, a command, or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import submitit

from hvdtma.core.config import config_and_words
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig, load_train_config
from slurm import job
from slurm.sweep import combinations, folder_name

JobTarget = str | Path | Sequence[str] | Sequence[TrainConfig] | Callable[[], Any]


@dataclass
class JobSpec:
    """One job of a submission; a sweep has several.

    Attributes:
        name: of the run or the command, for people.
        work: called in every task; None until the config of a run is written.
        config: None for a command or a function.
        resumes: whether the job resumes a run that exists.
        job: submitit's job; None before submission.
    """

    name: str
    work: Callable[[], Any] | None
    config: TrainConfig | None = None
    resumes: bool = False
    job: submitit.Job | None = None

    @property
    def id(self) -> str:
        assert self.job is not None
        return self.job.job_id

    @property
    def log(self) -> Path:
        """The output of task 0."""
        assert self.job is not None
        return self.job.task(0).paths.stdout


def job_specs(
    target: JobTarget, overrides: Sequence[str], array: Sequence[str]
) -> tuple[Path, list[JobSpec]]:
    """The jobs for a target, and the path that names the job and its folder."""
    sweep = combinations(array)
    if callable(target):
        if array or overrides:
            raise UserError("a function takes no overrides and no array; submit several instead")
        name = getattr(target, "__name__", type(target).__name__)
        return Path(name), [JobSpec(name, target)]
    if isinstance(target, list) and target and isinstance(target[0], TrainConfig):
        if array or overrides:
            raise UserError("configs that are resolved take no overrides and no array")
        return target[0].run, [JobSpec(relative_path(c.run), None, c) for c in target]
    if not isinstance(target, str | Path):
        return _command_specs([*map(str, target), *overrides], sweep)
    if any(word.startswith("run=") for point in sweep for word in point):
        raise UserError("--array run=...: the runs of a sweep get folders of their own anyway")
    file, words = config_and_words(target, overrides)
    configs = [load_train_config(file, [*words, *point]) for point in sweep]
    base = configs[0].run.absolute()
    specs = []
    for config, point in zip(configs, sweep, strict=True):
        run = base / folder_name(point) if point else base
        # Absolute paths: the job runs in another directory than the checks.
        config = config.resolved.model_copy(update={"run": run})
        specs.append(JobSpec(relative_path(run), None, config))
    if len({spec.name for spec in specs}) < len(specs):
        raise UserError(f"several runs of {' '.join(array)} would have the same folder")
    return base, specs


def _command_specs(command: list[str], sweep: list[list[str]]) -> tuple[Path, list[JobSpec]]:
    name = Path(command[0]).name
    specs = [
        JobSpec(" ".join([name, *point]), partial(job.run_command, [*command, *point]))
        for point in sweep
    ]
    return Path(name), specs


def relative_path(path: Path) -> str:
    """A path as a user would write it in the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
