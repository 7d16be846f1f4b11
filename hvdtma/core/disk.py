"""Whether the disk has what a command will write, before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.files import folder_of


def refuse_full_disk(path: Path, needed_bytes: int, doing: str, remedy: str) -> None:
    """Raises UserError if the disk of `path` has not `needed_bytes` free.

    Args:
        doing: what is done to `path`, as in 'while it is built'.
        remedy: what may make it less.
    """
    folder = folder_of(path)
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise UserError(
            f"{path} needs up to {needed_bytes / 1e9:,.1f} GB of disk while it is {doing}, "
            f"{folder} has {free / 1e9:,.1f} GB free; {remedy}"
        )
