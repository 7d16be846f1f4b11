"""Checks of a plug-in by inspection: whether it has the methods of its contract.

So a method that would fail at its first call, after a run has begun, is found before.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from hvdtma.core.errors import UserError

DOCS = "docs/extending.md"


class Call(NamedTuple):
    """The arguments that a method is called with.

    Attributes:
        positional: names of the positional arguments, for messages.
        keywords: keyword arguments of every call.
        optional: further keyword arguments of some calls.
    """

    positional: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join([*self.positional, *(f"{k}=..." for k in self.keywords + self.optional)])


def not_a(kind: str, name: str, problem: str) -> UserError:
    """The error that a plug-in does not keep its contract."""
    article = "an" if kind[0] in "aeiou" else "a"
    return UserError(f"{name} is not {article} {kind}: {problem} ({DOCS})")


def check_methods(kind: str, name: str, target: Any, calls: Mapping[str, Call]) -> None:
    """Raise UserError for a method that is missing, or cannot be called as the contract says.

    Args:
        target: a class, or an object.
    """
    for method, call in calls.items():
        function = getattr(target, method, None)
        if not callable(function):
            raise not_a(kind, name, f"it has no `{method}`")
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # compiled code may have no signature
            continue
        own = (None,) if _takes_self(target, method) else ()
        for keywords in (call.keywords, call.keywords + call.optional):
            try:
                signature.bind(*own, *call.positional, **dict.fromkeys(keywords))
            except TypeError as error:
                raise not_a(
                    kind,
                    name,
                    f"its `{method}{signature}` cannot be called as {method}({call}): {error}",
                ) from None


def _takes_self(target: Any, method: str) -> bool:
    """Whether a method, as an attribute of `target`, still takes `self`."""
    if not isinstance(target, type):
        return False
    static = isinstance(inspect.getattr_static(target, method), staticmethod)
    return inspect.isfunction(getattr(target, method)) and not static
