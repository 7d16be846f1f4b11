"""Old names, which are taken for one version more, with a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hvdtma.core.console import warn


@dataclass(frozen=True)
class Renamed:
    """The new name of something.

    Attributes:
        to: the new name.
        removed_in: the version that no longer takes the old name.
    """

    to: str
    removed_in: str


def current_names(values: Any, renamed: Mapping[str, Renamed]) -> Any:
    """Values with old keys replaced by the new ones; prints a warning for each.

    Raises ValueError if the old and the new key are both there.
    """
    if not isinstance(values, Mapping) or not renamed.keys() & values.keys():
        return values
    current = dict(values)
    for old in renamed.keys() & values.keys():
        name = renamed[old]
        if name.to in values:
            raise ValueError(f"'{old}' and '{name.to}' are one key; leave out '{old}'")
        warn(
            f"the key '{old}' is now called '{name.to}'; version {name.removed_in} will refuse "
            f"'{old}'"
        )
        current[name.to] = current.pop(old)
    return current
