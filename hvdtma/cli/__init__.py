"""The command line: `hvdtma COMMAND`."""

from __future__ import annotations

import os
import sys

from rich.markup import escape

from hvdtma.console import console
from hvdtma.errors import UserError


def main() -> None:
    """Run a command. What the user can mend is one message and exit status 2."""
    from hvdtma.cli.app import app

    try:
        app()
    except UserError as error:
        if is_first_rank():  # the others would only say it again
            console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)


def is_first_rank() -> bool:
    """Whether this process is the only one of a launcher's, or its rank 0."""
    ranks = (os.environ.get(name) for name in ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"
