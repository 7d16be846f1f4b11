"""Errors in the words of the caller: arguments in Python, flags on the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from hvdtma.core.errors import UserError, nearest

P = ParamSpec("P")
Result = TypeVar("Result")
FilePath = str | os.PathLike[str]

SWITCHES = ("overwrite", "undirected", "skip_unknown")  # flags without a value
RENAMED = {"in_process": "trainers"}
# Commands are left as they are, such as: hvdtma train --resume RUN.
COMMAND = r"\b(?:hvdtma|horovodrun) [a-z-]+[^;,)]*"
FLAG = r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)( (?=[A-Z]{2}))?"  # the second group: before a VALUE
COMMAND_OR_FLAG = re.compile(f"{COMMAND}|{FLAG}")


def names_arguments(function: Callable[P, Result]) -> Callable[P, Result]:
    """A decorator: a UserError of the function names arguments where it named flags.

    The message with flags stays in `UserError.in_flags`, for the command line.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            error.in_flags = error.in_flags or str(error)
            error.args = (as_arguments(error.in_flags),)
            raise

    return wrapper


def as_arguments(message: str) -> str:
    """A message with arguments in place of flags: `overwrite=True` for `--overwrite`."""
    return COMMAND_OR_FLAG.sub(_argument, message)


def _argument(found: re.Match[str]) -> str:
    flag = found[1]
    if flag is None:
        return found[0]
    name = flag.replace("-", "_")
    if name in SWITCHES:
        return f"{name}=True"
    return RENAMED.get(name, name) + ("=" if found[2] else "")


def check_keywords(function: str, given: set[str], valid: list[str]) -> None:
    """Raise UserError for the first keyword, in alphabetical order, that is not valid."""
    for name in sorted(given - set(valid)):
        hint = nearest(RENAMED.get(name, name), valid)
        raise UserError(f"{function} takes no argument '{name}'; {hint}")
