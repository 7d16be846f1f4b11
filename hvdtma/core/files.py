"""Atomic writes, JSON files, and errors about a full disk."""

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
from hvdtma.core.partial import partial_path, put_in_place, remove, remove_abandoned, through_link

FULL = (errno.ENOSPC, errno.EDQUOT)
REMOVED = "the files written so far were removed, nothing is left behind"


class FullDisk(UserError):
    """The disk, or the user's quota of it, is full."""

    @classmethod
    def of(cls, path: Path, hint: str) -> FullDisk:
        """The error for the disk of `path`, which need not exist; `hint` ends the message."""
        folder = nearest_folder(path)
        free_gb = shutil.disk_usage(folder).free / 1e9
        return cls(f"the disk of {folder} is full ({free_gb:.1f} GB free); {hint}")


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with `~` and `~user` at its beginning replaced by the home folder.

    Raises UserError for a user without one. A folder of the name `~` is written `./~`.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"'{path}' names a user without a home folder") from error


@contextmanager
def reporting_full_disk(path: Path, hint: str = REMOVED) -> Iterator[None]:
    """Raise FullDisk for `path` if the block fails because its disk is full."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise FullDisk.of(path, hint) from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk or the quota is full."""
    return isinstance(error, FullDisk) or (isinstance(error, OSError) and error.errno in FULL)


def nearest_folder(path: Path) -> Path:
    """The nearest existing folder above `path`."""
    return next(parent for parent in path.absolute().parents if parent.exists())


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file atomically.

    Yields a temporary path in the same folder, which is renamed to `path` if the block succeeds
    and removed if not. The target of a symbolic link is replaced, not the link.
    """
    path = through_link(Path(path))
    remove_abandoned(path)
    partial = partial_path(path, os.getpid())
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Write a folder atomically, as `replacing` writes a file.

    Yields a temporary folder. A former `path` stays as it is until the block succeeds.
    """
    path = through_link(path)
    remove_abandoned(path, own=True)
    partial = partial_path(path, os.getpid())
    partial.mkdir(parents=True)
    try:
        yield partial
        put_in_place(partial, path)
    finally:
        remove(partial)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; numbers that are not finite become null."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(finite(value), indent=2) + "\n")


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it (fsync)."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the disk has a folder's entries (fsync): new names, renames and removals."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def append_json(path: Path, value: Any) -> None:
    """Append one line of JSON; numbers that are not finite become null.

    A last line without a line end is replaced: its writer was killed, or its disk was full.
    """
    line = json.dumps(finite(value)) + "\n"
    with path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        if file.read(1) not in (b"\n", b""):
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
        file.write(line.encode())


def finite(value: Any) -> Any:
    """The value with None in place of NaN and infinities, which JSON lacks; at any depth."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
