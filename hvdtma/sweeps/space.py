"""The values that a sweep tries: lists `key=a,b,c` and ranges `key=low..high`."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from hvdtma.core.errors import UserError
from slurm.sweep import split_values

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*(?::(\w+))?\s*")
LIKE_RANGE = re.compile(rf"\s*(?:(?:{NUMBER})?\s*\.\.\s*(?:{NUMBER})?)\s*(?::\w+)?\s*")
LOG_RATIO = 100  # a range of positive numbers this wide is drawn on a log scale
SCALES = ("log", "linear")


@dataclass(frozen=True)
class Choice:
    """One of several values, as they are written."""

    values: tuple[str, ...]

    def at(self, share: float) -> str:
        """The value at a share in [0, 1) of the way."""
        return self.values[int(share * len(self.values))]

    @property
    def ends(self) -> tuple[str, ...]:
        """The values to check before a sweep begins."""
        return self.values

    def __str__(self) -> str:
        return ", ".join(self.values)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included.

    Attributes:
        log: drawn uniformly on a logarithmic scale.
        whole: a whole number.
    """

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, share: float) -> str:
        """The value at a share in [0, 1) of the way."""
        if self.log:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        elif self.whole:
            value = math.floor(self.low + share * (self.high - self.low + 1))
        else:
            value = self.low + share * (self.high - self.low)
        return self.text(value)

    def text(self, value: float) -> str:
        """A value with four digits, as the config and names of folders have it."""
        return str(round(value)) if self.whole else f"{value:.4g}"

    @property
    def ends(self) -> tuple[str, ...]:
        """The values to check before a sweep begins."""
        return self.text(self.low), self.text(self.high)

    def __str__(self) -> str:
        low, high = self.ends
        return f"{low} to {high}, {SCALES[not self.log]} scale"


@dataclass(frozen=True)
class Space:
    """The keys of a sweep with their values."""

    keys: dict[str, Choice | Range]

    @property
    def has_ranges(self) -> bool:
        return any(isinstance(values, Range) for values in self.keys.values())

    @property
    def size(self) -> int:
        """The number of combinations of a space without ranges."""
        return prod(len(values.ends) for values in self.keys.values())

    def point(self, number: int) -> list[str]:
        """The combination of a number from 0, of a space without ranges.

        The last key varies fastest.
        """
        words: list[str] = []
        for key, values in reversed(self.keys.items()):
            number, place = divmod(number, len(values.ends))
            words.insert(0, f"{key}={values.ends[place]}")
        return words

    def checked_points(self) -> list[list[str]]:
        """Combinations in which each value of each key comes once."""
        columns = [[f"{key}={value}" for value in values.ends] for key, values in self.keys.items()]
        return [
            [word or column[0] for word, column in zip(row, columns, strict=True)]
            for row in itertools.zip_longest(*columns)
        ]


def read_space(words: Sequence[str]) -> tuple[Space, list[str]]:
    """The space of a sweep, and the words that are plain overrides `key=value`.

    Raises UserError for a text that is not `key=...`, an empty list or range, a key or a value
    that comes twice, and if no word has several values.
    """
    keys: dict[str, Choice | Range] = {}
    plain: list[str] = []
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise UserError(
                f"'{word}' is no key of a sweep; write key=a,b,c or key=low..high, as in "
                "model.hidden=64,128 or optimizer.lr=1e-4..1e-2"
            )
        values = _values(word, text)
        if values is None:
            plain.append(word)
            continue
        if key in keys:
            raise UserError(f"'{word}': the key {key} comes twice in the sweep")
        if key == "run":
            raise UserError(
                f"'{word}': the trials of a sweep get folders of their own, in RUN/trials"
            )
        keys[key] = values
    if not keys:
        raise UserError(
            "no key has several values; write key=a,b,c or key=low..high, as in "
            "optimizer.lr=1e-4..1e-2. A single run is started with: hvdtma train CONFIG"
        )
    return Space(keys), plain


def _values(word: str, text: str) -> Choice | Range | None:
    """The values of a key; None for a single value."""
    options = split_values(text)
    if len(options) > 1:
        if not all(option.strip() for option in options):
            raise UserError(f"'{word}': a value between the commas is empty")
        if len(set(options)) < len(options):
            raise UserError(f"'{word}': a value comes twice")
        return Choice(tuple(option.strip() for option in options))
    if found := RANGE.fullmatch(text):
        return _range(word, found[1], found[2], found[3])
    if ".." in text and LIKE_RANGE.fullmatch(text):
        raise UserError(f"'{word}': a range needs both ends, as in 1e-4..1e-2")
    return None


def _range(word: str, low_text: str, high_text: str, scale: str | None) -> Range:
    low, high = float(low_text), float(high_text)
    if scale is not None and scale not in SCALES:
        raise UserError(f"'{word}': the scale is '{scale}'; valid: {', '.join(SCALES)}")
    if not low < high:
        raise UserError(f"'{word}': the range is empty; its first number must be the smaller one")
    if scale == "log" and low <= 0:
        raise UserError(f"'{word}': a log scale needs ends above 0")
    wide = low > 0 and high / low >= LOG_RATIO
    whole = all(re.fullmatch(r"[+-]?\d+", end) for end in (low_text, high_text))
    return Range(low, high, log=scale == "log" or (scale is None and wide), whole=whole)
