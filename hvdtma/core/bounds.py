"""Bounds of numbers that come from a person, outside of configs."""

from __future__ import annotations

import math
from numbers import Integral, Real

from hvdtma.core.errors import UserError


def check_whole(name: str, value: object, least: int) -> None:
    """Raise UserError unless a value is a whole number, at least `least`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:  # type: ignore[call-overload]
        raise UserError(f"{name} is {value!r}; it must be a whole number, at least {least}")


def check_positive(name: str, value: object) -> None:
    """Raise UserError unless a value is a finite number above 0."""
    if not (_is_finite(value) and value > 0):  # type: ignore[operator]
        raise UserError(f"{name} is {value!r}; it must be a finite number above 0")


def check_not_negative(name: str, value: object, below: float = math.inf) -> None:
    """Raise UserError unless a value is a finite number, at least 0 and less than `below`."""
    if not (_is_finite(value) and 0 <= value < below):  # type: ignore[operator]
        limit = "" if below == math.inf else f" and less than {below:g}"
        raise UserError(f"{name} is {value!r}; it must be a finite number, at least 0{limit}")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
