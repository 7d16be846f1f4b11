"""JobTarget is submitted: a run, the runs of a sweep, a command or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import submitit

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig, load_config
from slurm import job
from slurm.sweep import combinations, folder_name

JobTarget = str | Path | Sequence[str] | Callable[[], Any]


@dataclass
class JobSpec:
    """One run of a submission, which is a sweep or has only this one.

    Attributes:
        name: of the run for people; `config`: None for a command or a function.
        resumes: with a run that was begun before.
        job: submitit's; None in a dry run.
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
        """JobTarget task 0 prints."""
        assert self.job is not None
        return self.job.task(0).paths.stdout


def job_specs(
    what: JobTarget, overrides: Sequence[str], array: Sequence[str]
) -> tuple[Path, list[JobSpec]]:
    """The runs that are asked for, and the path that their jobs are named after."""
    sweep = combinations(array)
    if callable(what):
        if array or overrides:
            raise UserError("a function takes no overrides and no array; submit several instead")
        name = getattr(what, "__name__", type(what).__name__)
        return Path(name), [JobSpec(name, what)]
    if not isinstance(what, str | Path):
        words = [*map(str, what), *overrides]
        name = Path(words[0]).name
        return Path(name), [
            JobSpec(" ".join([name, *chosen]), partial(job.run_command, [*words, *chosen]))
            for chosen in sweep
        ]
    if any(word.startswith("run=") for chosen in sweep for word in chosen):
        raise UserError("--array run=...: each run of a sweep gets a folder of its own by itself")
    configs = [load_config(what, [*overrides, *chosen]) for chosen in sweep]
    base = configs[0].run.absolute()
    parts = []
    for config, chosen in zip(configs, sweep, strict=True):
        run = base / folder_name(chosen) if chosen else base
        # As they are here and now: what was checked is what is trained.
        config = config.model_copy(update={"run": run, "store": config.store.absolute()})
        parts.append(JobSpec(near(run), None, config))
    if len({part.name for part in parts}) < len(parts):
        raise UserError(f"the runs of {' '.join(array)} would have the same folders")
    return base, parts


def near(path: Path) -> str:
    """A path as one would write it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
