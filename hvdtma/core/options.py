"""Calling a plug-in with a user's options: each is checked against the signature."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Mapping
from typing import Any

from hvdtma.core.errors import Interrupted, UserError, nearest
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

    Raises UserError for an option that the plug-in does not take (valid ones are listed), for a
    required one that is missing, and, with the reason, if the plug-in raises an error.
    """
    target = resolve(kind, name)
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError) as error:
        raise UserError(f"the {LABELS[kind]} '{name}' cannot be used: {error}") from error
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
    try:
        return target(*arguments, **passed)
    except (UserError, Interrupted):
        raise
    except Exception as error:
        raise UserError(f"the {LABELS[kind]} '{name}' raised {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The kind, the message and the place of an error."""
    message = f": {error}" if str(error) else ""
    _, *frames = traceback.extract_tb(error.__traceback__)  # the first is this module's
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{message}{place}"
