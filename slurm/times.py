"""Time limits as people and Slurm write them."""

from __future__ import annotations

import math
import re

from hvdtma.core.errors import UserError

UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
WITH_UNITS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
WITH_COLONS = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def minutes(words: str) -> int:
    """Whole minutes, rounded up: Slurm counts no seconds.

    `4h`, `90m`, `1d12h`; or as Slurm has it: `30` are minutes, `12:30` minutes and seconds,
    `12:30:00` begins with hours, `1-12`, `1-12:30` and `1-12:30:00` with days and hours.

    Raises UserError for anything else, and for no time at all.
    """
    text = words.strip().lower().replace(" ", "")
    seconds = _with_units(text) or _with_colons(text)
    if not seconds:
        raise UserError(
            f"time is '{words}'; valid: 4h, 90m, 1d12h, 30 (minutes), 12:30:00 (hours first) or "
            "1-12:30:00 (days first)"
        )
    return math.ceil(seconds / 60)


def _with_units(text: str) -> int:
    found = WITH_UNITS.fullmatch(text)
    numbers = found.groups("0") if found else ()
    return sum(int(n) * unit for n, unit in zip(numbers, UNITS_S.values(), strict=False))


def _with_colons(text: str) -> int:
    found = WITH_COLONS.fullmatch(text)
    if not found:
        return 0
    days, *rest = found.groups()
    numbers = [int(n) for n in rest if n is not None]
    if days is not None:
        first = "h"
    else:
        first = "h" if len(numbers) == 3 else "m"
    units = list(UNITS_S.values())[list(UNITS_S).index(first) :]
    return int(days or 0) * UNITS_S["d"] + sum(
        n * unit for n, unit in zip(numbers, units, strict=False)
    )


def in_words(number: int) -> str:
    """Minutes for a person: `1 d 12 h`."""
    days, rest = divmod(number, 1440)
    hours, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (rest, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
