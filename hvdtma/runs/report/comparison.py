"""Runs side by side: groups of runs that differ in the seed only, their scores and settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from hvdtma.core.config import flattened
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.event_text import is_number, number_text
from hvdtma.runs.report.run_log import RunLog, read_run
from hvdtma.runs.report.words import DASH, method_name

# Keys that say nothing about a model, or are compared under another name.
NO_SETTINGS = ("run", "seed", "trainers", "log", "log_options", "profile", "threads", "scratch_dir")
MAX_NAMED = 3  # so many settings name a group
MAX_COLUMNS = 6  # of a table with a column per group; more groups are rows


@dataclass(frozen=True)
class Spread:
    """The values of several seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation; None for fewer than two values."""
        return stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        if self.mean is None:
            return DASH
        spread = "" if self.deviation is None else f" ± {number_text(self.deviation)}"
        return f"{number_text(self.mean)}{spread}"


@dataclass(frozen=True)
class ComparedRun:
    """One run.

    Attributes:
        settings: values as text, by key: the config's, the number of trainers, the partition.
        curve: seconds of training and validation score of each scored round, by round.
        valid, test: scores of the best round by validation; None if it has none.
    """

    log: RunLog
    settings: dict[str, str]
    seed: str
    curve: dict[int, tuple[float, float]]
    valid: float | None
    test: float | None

    @property
    def name(self) -> str:
        return self.log.folder.resolve().name


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ in the seed only."""

    name: str
    runs: list[ComparedRun]

    @property
    def settings(self) -> dict[str, str]:
        return self.runs[0].settings

    @property
    def seeds(self) -> str:
        return ", ".join(run.seed for run in self.runs)

    @property
    def valid(self) -> Spread:
        """The best validation score of each run."""
        return Spread(tuple(run.valid for run in self.runs if run.valid is not None))

    @property
    def test(self) -> Spread:
        """The test score of each run's best round by validation."""
        return Spread(tuple(run.test for run in self.runs if run.test is not None))

    @property
    def curve(self) -> list[tuple[float, Spread]]:
        """Mean time and scores of the rounds that were scored in every run with scores."""
        curves = [run.curve for run in self.runs if run.curve]
        if not curves:
            return []
        common = sorted(set(curves[0]).intersection(*curves))
        return [
            (fmean(c[number][0] for c in curves), Spread(tuple(c[number][1] for c in curves)))
            for number in common
        ]


@dataclass(frozen=True)
class Comparison:
    """Several runs.

    Attributes:
        metric: the metric that is compared.
        least_is_best: whether its lowest value is the best.
        groups: in the order in which their runs were given.
        differing: the settings that differ between groups.
    """

    metric: str
    least_is_best: bool
    groups: list[RunGroup]
    differing: list[str]

    @property
    def runs(self) -> list[ComparedRun]:
        return [run for group in self.groups for run in group.runs]

    @property
    def unscored(self) -> list[ComparedRun]:
        """The runs without a validation score."""
        return [run for run in self.runs if not run.curve]

    def settings_table(self) -> tuple[list[str], list[list[str]]]:
        """Titles and rows of the settings that differ, with a column or a row per group."""
        names = [group.runs[0].name for group in self.groups]
        values = [[g.settings.get(key, DASH) for key in self.differing] for g in self.groups]
        if len(names) > MAX_COLUMNS:
            return ["Run", *self.differing], [
                [n, *row] for n, row in zip(names, values, strict=True)
            ]
        columns = zip(self.differing, *values, strict=True)
        return ["Setting", *names], [list(row) for row in columns]

    @property
    def best(self) -> RunGroup:
        """The group with the best mean validation score."""
        sign = -1 if self.least_is_best else 1
        scored = [group for group in self.groups if group.valid.values]
        return max(scored, key=lambda group: sign * (group.valid.mean or 0.0))


def compare_runs(paths: Sequence[Path], metric: str | None = None) -> Comparison:
    """Read runs, finished or not, and compare them.

    Args:
        paths: folders of runs, or folders that hold runs, such as that of a sweep.
        metric: None: the metric that chooses the best round of the first run with scores.

    Raises UserError without a run, for a folder without runs, an unknown metric, and if no run has
    a validation score.
    """
    if not paths:
        raise UserError("give the folders of the runs to compare, as in runs/a runs/b")
    logs = [read_run(folder) for path in paths for folder in _runs_in(path)]
    logs = list({log.folder.resolve(): log for log in logs}.values())
    scored = [log for log in logs if log.valid]
    if not scored:
        names = ", ".join(str(log.folder) for log in logs)
        raise UserError(f"no run has a validation score yet: {names}")
    known = list(dict.fromkeys(name for log in scored for e in log.valid for name in e["metrics"]))
    metric = metric or scored[0].metric or known[0]
    if metric not in known:
        raise UserError(f"no run has the metric '{metric}'; {nearest(metric, known)}")
    runs = [_compared(log, metric) for log in logs]
    least = any(metric in log.least_is_best for log in scored)
    return Comparison(metric, least, *_grouped(runs))


def _runs_in(path: Path) -> list[Path]:
    """A run, or the runs in a folder and in its folder `trials`."""
    if (path / "config.yaml").is_file():
        return [path]
    found = [
        config.parent
        for pattern in ("*/config.yaml", "trials/*/config.yaml")
        for config in sorted(path.glob(pattern))
    ]
    return found or [path]  # which `read_run` refuses


def _compared(log: RunLog, metric: str) -> ComparedRun:
    values = yaml.safe_load(log.config) or {}
    settings = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in (_defaults() | flattened(values)).items()
        if key.split(".")[0] not in NO_SETTINGS
    }
    settings["trainers"] = str(log.trainers or DASH)
    settings["partition"] = method_name(log.start.get("method") or log.summary.get("method"))
    best = log.best["metrics"].get(metric) if log.best else None
    test = log.test.get(metric)
    return ComparedRun(
        log,
        settings,
        seed=json.dumps(values.get("seed")),
        curve=dict(_scores(log, metric)),
        valid=best if is_number(best) else None,
        test=test if is_number(test) else None,
    )


def _defaults() -> dict[str, Any]:
    """The keys with a default, which a run of an older version may lack."""
    unchecked = TrainConfig.model_construct()  # `store` and `run` have no defaults
    return flattened(unchecked.model_dump(mode="json", warnings=False))


def _scores(log: RunLog, metric: str) -> Iterator[tuple[int, tuple[float, float]]]:
    for event in log.valid:
        value = event["metrics"].get(metric)
        if is_number(value):
            yield event["round"], (event["time_s"], value)


def _grouped(runs: list[ComparedRun]) -> tuple[list[RunGroup], list[str]]:
    """The groups, and the settings that differ between them."""
    members: dict[tuple, list[ComparedRun]] = {}
    for run in runs:
        members.setdefault(tuple(sorted(run.settings.items())), []).append(run)
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    first = [each[0].settings for each in members.values()]
    differing = [key for key in keys if len({settings.get(key) for settings in first}) > 1]
    return [RunGroup(_name(each, differing), each) for each in members.values()], differing


def _name(runs: list[ComparedRun], differing: list[str]) -> str:
    """The settings that differ, or the names of the folders where these are many."""
    if 0 < len(differing) <= MAX_NAMED:
        return ", ".join(f"{key}={runs[0].settings.get(key, DASH)}" for key in differing)
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"{runs[0].name}{more}"
