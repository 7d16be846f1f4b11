"""Files that are whole or not there: written beside, then renamed; and what a full disk says."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hvdtma.core.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)


REMOVED = "what was written is removed, nothing is left behind"


class FullDisk(UserError):
    """The disk is full; says which, and what to do."""

    @classmethod
    def of(cls, path: Path, what: str) -> FullDisk:
        """Of the disk that `path` is on, or would be; `what` stands after its name."""
        folder = folder_of(path)
        free_gb = shutil.disk_usage(folder).free / 1e9
        return cls(f"the disk of {folder} is full ({free_gb:.1f} GB free); {what}")


@contextmanager
def naming_full_disk(path: Path, what: str = REMOVED) -> Iterator[None]:
    """Raises FullDisk, see there, where the block finds the disk full."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise FullDisk.of(path, what) from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or what one may have of it, is full."""
    return isinstance(error, FullDisk) or (isinstance(error, OSError) and error.errno in FULL)


def folder_of(path: Path) -> Path:
    """The nearest folder above `path` that is there."""
    return next(parent for parent in path.absolute().parents if parent.exists())


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to; becomes `path` when the block ends well."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; numbers that are not finite become null."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(finite(value), indent=2) + "\n")


def write_through(path: Path, content: bytes) -> None:
    """Write a file through to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Let the disk know which files are in a folder, by what names."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def append_json(path: Path, value: Any) -> None:
    """Add one line of JSON; numbers that are not finite become null.

    It takes the place of a last line without an end: whoever wrote it was killed, or its disk full.
    """
    line = json.dumps(finite(value)) + "\n"
    with path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        if file.read(1) not in (b"\n", b""):
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        file.write(line.encode())


def finite(value: Any) -> Any:
    """The same value with NaN and infinities as None, at any depth: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
