"""Time limits as people and Slurm write them."""

from __future__ import annotations

import math
import re

from hvdtma.core.errors import UserError

UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
WITH_UNITS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
WITH_COLONS = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def parse_minutes(text: str) -> int:
    """A time limit in minutes, rounded up: Slurm counts no seconds.

    Takes `4h`, `90m`, `1d12h`, and Slurm's own forms: `30` (minutes), `12:30` (minutes and
    seconds), `12:30:00` (hours first), `1-12`, `1-12:30` and `1-12:30:00` (days, then hours).

    Raises UserError for any other text, and for a limit of zero.
    """
    compact = text.strip().lower().replace(" ", "")
    seconds = _seconds_with_units(compact) or _seconds_with_colons(compact)
    if not seconds:
        raise UserError(
            f"time is '{text}'; valid: 4h, 90m, 1d12h, 30 (minutes), 12:30:00 (hours first) or "
            "1-12:30:00 (days first)"
        )
    return math.ceil(seconds / 60)


def _seconds_with_units(text: str) -> int:
    match = WITH_UNITS.fullmatch(text)
    numbers = match.groups("0") if match else ()
    return sum(int(n) * unit for n, unit in zip(numbers, UNITS_S.values(), strict=False))


def _seconds_with_colons(text: str) -> int:
    match = WITH_COLONS.fullmatch(text)
    if not match:
        return 0
    days, *rest = match.groups()
    numbers = [int(n) for n in rest if n is not None]
    first = "h" if days is not None or len(numbers) == 3 else "m"
    units = list(UNITS_S.values())[list(UNITS_S).index(first) :]
    return int(days or 0) * UNITS_S["d"] + sum(
        n * unit for n, unit in zip(numbers, units, strict=False)
    )


def format_minutes(number: int) -> str:
    """Minutes for a person: `1 d 12 h`."""
    days, rest = divmod(number, 1440)
    hours, rest = divmod(rest, 60)
    units = ((days, "d"), (hours, "h"), (rest, "min"))
    return " ".join(f"{count} {unit}" for count, unit in units if count)
