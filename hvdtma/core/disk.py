"""Check the free disk space before a command writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.files import nearest_folder


def check_disk_space(path: Path, required_bytes: int, doing: str, remedy: str) -> None:
    """Raise UserError if the disk of `path` has less than `required_bytes` free.

    Args:
        doing: a participle for the message: `path` needs the space while it is `doing`.
        remedy: how to need less.
    """
    folder = nearest_folder(path)
    free = shutil.disk_usage(folder).free
    if required_bytes > free:
        raise UserError(
            f"{path} needs up to {required_bytes / 1e9:,.1f} GB of disk while it is {doing}, but "
            f"{folder} has {free / 1e9:,.1f} GB free; {remedy}"
        )
