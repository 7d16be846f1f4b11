"""Bounds of numbers that come from a person: the largest values, and checks outside of configs.

A value above its bound is a mistake. Without a bound it ends in an overflow, in a process without
memory, or in one that never answers.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

from hvdtma.core.errors import UserError

LARGEST_GRAPH = 2**48  # nodes and edges; more than any disk holds
LARGEST_COUNT = 2**31 - 1  # steps, links, rounds: compiled code and libraries count in int32
LARGEST_NUMBER = 1e9  # of a float: float32 has a range of 1e38, and squares and sums must fit
LONGEST_S = 1e8  # three years; the system's timers end at 292
LARGEST_WIDTH = 2**16  # a square matrix of this width has 16 GiB
MOST_LAYERS = 1000  # the depth of the deepest networks in use; each takes memory and time
MOST_THREADS = 1024  # the cores that Linux counts for a process (CPU_SETSIZE)
MOST_TRAINERS = 2**16  # more than any cluster starts in one job
MOST_IN_PROCESS = 1024  # trainers in one process: each has a thread, and takes turns
LARGEST_MEMORY_GB = 2**20  # one PiB; larger limits do not fit in 64 bits, in bytes


def check_whole(name: str, value: object, least: int, most: int = LARGEST_COUNT) -> None:
    """Raise UserError unless a value is a whole number, at least `least` and at most `most`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:  # type: ignore[call-overload]
        raise UserError(f"{name} is {value!r}; it must be a whole number, at least {least}")
    if int(value) > most:  # type: ignore[call-overload]
        raise UserError(f"{name} is {value!r}; it must be a whole number, from {least} to {most}")


def check_positive(name: str, value: object, most: float = math.inf) -> None:
    """Raise UserError unless a value is a finite number above 0, at most `most`."""
    if not (_is_finite(value) and 0 < value <= most):  # type: ignore[operator]
        limit = "" if most == math.inf else f", at most {most:g}"
        raise UserError(f"{name} is {value!r}; it must be a finite number above 0{limit}")


def check_not_negative(name: str, value: object, below: float = math.inf) -> None:
    """Raise UserError unless a value is a finite number, at least 0 and less than `below`."""
    if not (_is_finite(value) and 0 <= value < below):  # type: ignore[operator]
        limit = "" if below == math.inf else f" and less than {below:g}"
        raise UserError(f"{name} is {value!r}; it must be a finite number, at least 0{limit}")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
