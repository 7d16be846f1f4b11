"""Calling a plug-in with a user's options: each is checked against the signature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.registry import LABELS, resolve


def call_with_options(
    kind: str,
    name: str,
    options: Mapping[str, Any],
    *arguments: Any,
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """Call a plug-in, usually a class, with options.

    Args:
        kind, name: of the registry; the name may be an import path.
        options: the user's keyword arguments.
        arguments: positional arguments, from the caller.
        defaults: keyword arguments that are passed on only if the plug-in takes them.

    Raises UserError for an option that the plug-in does not take (valid ones are listed), and for
    a required one that is missing.
    """
    target = resolve(kind, name)
    parameters = list(inspect.signature(target).parameters.values())
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    in_order = [p.name for p in named if p.kind is p.POSITIONAL_OR_KEYWORD]
    filled = set(in_order[: len(arguments)])
    valid = [p.name for p in named if p.name not in filled]
    for option in options:
        if option in filled or (option not in valid and not takes_any):
            known = nearest(option, valid) if valid else "it takes none"
            raise UserError(f"the {LABELS[kind]} '{name}' takes no option '{option}'; {known}")
    passed = {key: value for key, value in (defaults or {}).items() if key in valid}
    passed |= options
    for p in named:
        if p.name in valid and p.default is p.empty and p.name not in passed:
            raise UserError(f"the {LABELS[kind]} '{name}' needs the option '{p.name}'")
    return target(*arguments, **passed)
