"""A kind of fault: how its cases are drawn, and how one is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from faults.lab import Lab


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: as in the table.
        few: number of cases in `make test`.
        all: number of cases of `--all`.
        draw: a number of cases, from a seed; a case prints as what is to be done.
        survives: tries a case in a folder of its own; says which rule was broken, if any.
    """

    name: str
    few: int
    all: int
    draw: Callable[[Random, int], list[Any]]
    survives: Callable[[Lab, Path, Any], str]
