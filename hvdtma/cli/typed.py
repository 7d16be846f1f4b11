"""Arguments of typed graphs: TYPE=FILE and TYPE:RELATION:TYPE=FILE."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hvdtma.core.errors import UserError

_EDGES = re.compile(r"(?!sql:)[^:=/]+:[^:=/]+:[^:=/]+=.")


def is_typed_edges(given: str) -> bool:
    """Whether an argument of --edges names an edge type: user:buys:item=buys.csv."""
    return bool(_EDGES.match(given))


def by_type(given: Sequence[str] | None) -> dict[str, str | list[str]]:
    """The inputs of each type; several inputs of one type are a list.

    Raises UserError for an argument without a type.
    """
    found: dict[str, list[str]] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not (equals and name and value):
            raise UserError(
                f"'{one}' names no type; in a typed graph give user=users.csv for --nodes and "
                "--labels, and user:buys:item=buys.csv for --edges"
            )
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
