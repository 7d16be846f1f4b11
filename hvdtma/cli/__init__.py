"""The command line: `hvdtma COMMAND`."""

from __future__ import annotations

import errno
import os
import sys

from rich.markup import escape

from hvdtma.console import console
from hvdtma.errors import TrainerError, UserError

# What the machine refuses and the user can mend.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def main() -> None:
    """Run a command. What the user can mend is one message and exit status 2."""
    from hvdtma.cli.app import app

    try:
        app()
    except UserError as error:
        if is_first_rank() or isinstance(error, TrainerError):
            fail(str(error))
        sys.exit(2)  # the other ranks would only say it again
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        fail(f"cannot write or read {error.filename or 'a file'}: {error.strerror}")
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)


def fail(message: str) -> None:
    """Print an error and exit with status 2."""
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(2)


def is_first_rank() -> bool:
    """Whether this process is the only one of a launcher's, or its rank 0."""
    ranks = (os.environ.get(name) for name in ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"
