"""Whether the first line of a text table is a header or a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hvdtma.tables.columns import ID_NAMES, MISSING_WORDS, USUAL_ENDS, is_integer

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def header_of(
    first: list[str],
    below: Sequence[list[str]],
    named: Iterable[str | None],
    id_fields: int,
    lacks_name: bool,
) -> str:
    """Whether the first line is a header: `yes`, `no`, `ask`, or `either`.

    It is a header if it has columns with names of `named` or usual names, or one field less than
    the rows and no number. With these names it is `either` if they are also values of rows, or if
    an id is an integer.

    Without them it is a row if an id is an integer or a missing word. It is a header if the ids of
    all rows below are integers, or, with one id column, if a column has a word above numbers only;
    and a row if a field is a number or a missing word. If both or neither hold, the answer is
    `ask`.

    Args:
        below: the rows below, without those that repeat the first line.
        named: columns that the user names, or usual names.
        id_fields: the number of id columns at the start of a row.
        lacks_name: whether the first line has one field less than the rows.
    """
    chosen = {name for name in named if name is not None and not is_integer(name)}
    known = _known_names(first, chosen)
    has_integer = any(map(is_integer, first[:id_fields]))
    if known:
        again = any(at < len(row) and row[at] == first[at] for row in below for at in known)
        doubtful = has_integer and (id_fields == 1 or not chosen & set(first))
        return "either" if again or doubtful else "yes"
    if lacks_name and not any(map(NUMBER.fullmatch, first)):
        return "yes"
    if has_integer or any(map(_is_missing, first[:id_fields])):
        return "no"
    ids = [field for row in below for field in row[:id_fields] if not _is_missing(field)]
    above_integers = bool(ids) and all(map(is_integer, ids))
    above_numbers = id_fields == 1 and any(
        not _is_value(field) and _are_numbers([row[at] for row in below if at < len(row)])
        for at, field in enumerate(first[1:], 1)
    )
    if above_integers or above_numbers:
        return "ask" if any(map(_is_value, first)) else "yes"
    return "no" if any(map(_is_value, first if id_fields == 1 else first[:id_fields])) else "ask"


def _known_names(first: list[str], named: set[str]) -> list[int]:
    """The positions of the names in a header that say that it is one."""
    chosen = [at for at, field in enumerate(first) if field in named]
    if chosen:
        return chosen
    lowered = [field.lower() for field in first]
    for pair in USUAL_ENDS:
        if set(pair) <= set(lowered):
            return [lowered.index(end) for end in pair]
    return [0] if lowered[0] in ID_NAMES else []


def _is_missing(field: str) -> bool:
    return field != "" and field.lower() in MISSING_WORDS


def _is_value(field: str) -> bool:
    """Whether a field is a value rather than a name: a number, or a word for a missing one."""
    return bool(NUMBER.fullmatch(field)) or _is_missing(field)


def _are_numbers(fields: list[str]) -> bool:
    """Whether fields are numbers, but for missing ones."""
    known = [field for field in fields if field and not _is_missing(field)]
    return bool(known) and all(map(NUMBER.fullmatch, known))
