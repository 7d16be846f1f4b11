"""Searches: the values of each trial.

A search is a pure function of its seed, the number of the trial and the earlier results, so that a
sweep that is resumed goes on as if it had not been interrupted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.sweeps.space import Choice, Range, Space
from hvdtma.sweeps.trial import Trial

SEARCHES = ("auto", "grid", "random", "tpe")


class Search(Protocol):
    """Proposes trials.

    Attributes:
        name: `grid`, `random` or `tpe`.
        trials: number of trials of the sweep.
    """

    name: str
    trials: int

    def propose(self, number: int, earlier: Sequence[Trial]) -> list[str]:
        """The values of trial `number` (from 1) as words `key=value`."""
        ...


def make_search(
    name: str, space: Space, trials: int | None, seed: int, *, at_once: bool = False
) -> Search:
    """The search of a name; `auto`: the grid if it fits in `trials`, TPE for ranges, or random.

    Args:
        at_once: whether all trials start before one has a result.

    Raises UserError for an unknown name, a grid of ranges, ranges without a number of trials, and
    TPE without Optuna.
    """
    if name not in SEARCHES:
        raise UserError(f"--search is '{name}'; valid: {', '.join(SEARCHES)}")
    if space.has_ranges and name == "grid":
        raise UserError("--search grid needs lists of values, key=a,b; a range has no grid")
    if trials is None:
        if space.has_ranges or name in ("random", "tpe"):
            raise UserError("give --trials N: the number of trials is open")
        trials = space.size
    if name == "tpe" and at_once:
        raise UserError(
            "--search tpe learns from the trials before, but the jobs of an array start at once; "
            "use --search random"
        )
    if name == "tpe" and not has_optuna():
        raise UserError("--search tpe needs Optuna: pip install optuna; or use --search random")
    fits = not space.has_ranges and trials >= space.size
    if name == "grid" or (name == "auto" and fits):
        return GridSearch(space, min(trials, space.size))
    if name == "tpe" or (name == "auto" and space.has_ranges and not at_once and has_optuna()):
        return TPESearch(space, trials, seed)
    return RandomSearch(space, trials if space.has_ranges else min(trials, space.size), seed)


def has_optuna() -> bool:
    """Whether Optuna is installed."""
    return find_spec("optuna") is not None


class GridSearch:
    """All combinations, in order."""

    name = "grid"

    def __init__(self, space: Space, trials: int):
        self.space, self.trials = space, trials

    def propose(self, number: int, earlier: Sequence[Trial]) -> list[str]:
        return self.space.point(number - 1)


class RandomSearch:
    """Independent draws; of lists alone, combinations that do not repeat (Bergstra, 2012)."""

    name = "random"

    def __init__(self, space: Space, trials: int, seed: int):
        self.space, self.trials, self.seed = space, trials, seed

    def propose(self, number: int, earlier: Sequence[Trial]) -> list[str]:
        if not self.space.has_ranges:
            return self.space.point(self._distinct(number))
        shares = np.random.default_rng([self.seed, number]).random(len(self.space.keys))
        return [
            f"{key}={values.at(float(share))}"
            for (key, values), share in zip(self.space.keys.items(), shares, strict=True)
        ]

    def _distinct(self, number: int) -> int:
        """The last of `number` distinct draws; the first ones do not depend on `number`."""
        draw, drawn = random.Random(self.seed), dict[int, None]()
        while len(drawn) < number:
            drawn.setdefault(draw.randrange(self.space.size))
        return list(drawn)[-1]


class TPESearch:
    """The tree-structured Parzen estimator (Bergstra et al., 2011) of Optuna."""

    name = "tpe"

    def __init__(self, space: Space, trials: int, seed: int):
        import optuna  # not every sweep needs it

        self.space, self.trials, self.seed, self.optuna = space, trials, seed, optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def propose(self, number: int, earlier: Sequence[Trial]) -> list[str]:
        optuna, space = self.optuna, self.space.keys
        distributions = {key: self._distribution(values) for key, values in space.items()}
        sampler = optuna.samplers.TPESampler(seed=self.seed * 1_000_003 + number)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in earlier:
            if trial.state != "finished":
                continue
            texts = dict(word.split("=", 1) for word in trial.words)
            values = {key: _within(space[key], text) for key, text in texts.items()}
            study.add_trial(
                optuna.trial.create_trial(
                    params=values, distributions=distributions, value=trial.order
                )
            )
        asked = study.ask(distributions).params
        return [f"{key}={_text(values, asked[key])}" for key, values in space.items()]

    def _distribution(self, values: Choice | Range) -> Any:
        kinds = self.optuna.distributions
        if isinstance(values, Choice):
            return kinds.CategoricalDistribution(values.values)
        if values.whole:
            return kinds.IntDistribution(int(values.low), int(values.high), log=values.log)
        return kinds.FloatDistribution(values.low, values.high, log=values.log)


def _text(values: Choice | Range, value: Any) -> str:
    return value if isinstance(values, Choice) else values.text(value)


def _within(values: Choice | Range, text: str) -> Any:
    """A value of a trial for Optuna; a number that was rounded is kept in its range."""
    if isinstance(values, Choice):
        return text
    value = min(max(float(text), values.low), values.high)
    return round(value) if values.whole else value
