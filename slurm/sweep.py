"""`key=a,b,c`: one run per value, or per combination of several keys' values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from hvdtma.core.errors import UserError


def combinations(array: Sequence[str]) -> list[list[str]]:
    """The overrides of each run of a sweep; one empty list if there is none.

    Raises UserError for what is no `key=a,b`, or a key that comes twice.
    """
    keys, choices = [], []
    for words in array:
        key, equals, values = words.partition("=")
        options = split_values(values)
        if not (key and equals and all(options)):
            raise UserError(f"--array is '{words}'; write key=a,b,c, as in seed=0,1,2")
        if key in keys or len(set(options)) < len(options):
            raise UserError(f"--array {words}: a key, or a value, comes twice")
        keys.append(key)
        choices.append([f"{key}={value}" for value in options])
    return [list(chosen) for chosen in itertools.product(*choices)]


def split_values(words: str) -> list[str]:
    """Values between commas; commas within brackets belong to a value (`[10,25],[5,5]`)."""
    values, depth = [""], 0
    for letter in words:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            values.append("")
        else:
            values[-1] += letter
    return values


def folder_name(chosen: Sequence[str]) -> str:
    """A name for a run's folder that says what is its own: `seed=1,model.hidden=64`."""
    return re.sub(r"[^\w.=,+-]+", "-", ",".join(chosen))
