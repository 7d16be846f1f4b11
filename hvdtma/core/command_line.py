"""Run a command; an error that the user can correct is one message and exit status 2."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.errors import (
    INTERRUPTED,
    Interrupted,
    SavedForAll,
    TrainerError,
    UserError,
    explain,
)
from hvdtma.core.files import expanded
from hvdtma.core.launcher import launched_as, status_of_others

P = ParamSpec("P")
Result = TypeVar("Result")

# Errors of the system that the user can correct.
REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
)


def with_expanded_paths(command: Callable[P, Result]) -> Callable[P, Result]:
    """A command whose paths have `~` replaced: a shell does not do so in `--out=~/x`."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> Result:
        changed: dict[str, Any] = {name: _expanded(value) for name, value in kwargs.items()}
        return command(*args, **changed)

    return run


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    return expanded(value) if isinstance(value, Path) else value


def run_app(app: Callable[[], object]) -> None:
    """Run a command-line app and exit.

    An error that the user can correct is printed as one message, and the exit status is 2. The
    exit status of a run that was interrupted and saved is INTERRUPTED.
    """
    try:
        app()
    except Interrupted as error:
        if launched_as()[0] == 0 or isinstance(error, SavedForAll):
            console.print(escape(str(error)), soft_wrap=True)
            sys.exit(INTERRUPTED)
        sys.exit(status_of_others(INTERRUPTED))
    except UserError as error:
        rank, _ = launched_as()
        if rank == 0 or isinstance(error, TrainerError):
            fail(error.in_flags or str(error))
        sys.exit(status_of_others(2))  # the first trainer prints the message for all
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        fail(explain(error))


def fail(message: str) -> None:
    """Print an error message and exit with status 2."""
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(2)
