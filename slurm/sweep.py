"""Sweeps: `key=a,b,c` makes one run per value; several keys make all combinations."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from hvdtma.core.errors import UserError


def combinations(array: Sequence[str]) -> list[list[str]]:
    """The overrides of each run of a sweep; one empty list without a sweep.

    Raises UserError for a text that is not `key=a,b`, and for a repeated key or value.
    """
    keys: list[str] = []
    choices: list[list[str]] = []
    for text in array:
        key, equals, values = text.partition("=")
        options = split_values(values)
        if not (key and equals and all(options)):
            raise UserError(f"--array is '{text}'; write key=a,b,c, as in seed=0,1,2")
        if key in keys or len(set(options)) < len(options):
            raise UserError(f"--array {text}: a key, or a value, comes twice")
        keys.append(key)
        choices.append([f"{key}={value}" for value in options])
    return [list(point) for point in itertools.product(*choices)]


def split_values(text: str) -> list[str]:
    """Split at commas that are outside of brackets: `[10,25],[5,5]` has two values."""
    values, depth = [""], 0
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            values.append("")
        else:
            values[-1] += letter
    return values


def folder_name(point: Sequence[str]) -> str:
    """The folder name of one run of a sweep: `seed=1,model.hidden=64`."""
    return re.sub(r"[^\w.=,+-]+", "-", ",".join(point))
