"""Files and folders that are put in place once they are complete, atomically.

A process writes `.NAME.HOST-PID.partial` beside NAME, and exchanges the two when it is complete.
Where the file system cannot exchange two folders (NFS, for example), NAME is renamed to
`.NAME.HOST-PID.old` for a moment. What a killed process leaves behind is removed by the next one;
an `.old` without a NAME is put back.
"""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import shutil
from pathlib import Path

import psutil

from hvdtma.core.console import warn

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux, <fcntl.h> and <linux/fs.h>


def partial_path(path: Path, pid: int | str) -> Path:
    """The temporary path at which process `pid` of this machine writes `path`."""
    return path.with_name(f".{path.name}.{platform.node()}-{pid}.partial")


def _old_path(path: Path, pid: int | str) -> Path:
    return partial_path(path, pid).with_suffix(".old")


def through_link(path: Path) -> Path:
    """The path that a symbolic link points to; other paths as they are.

    What is written in place of a link's target must lie beside the target.
    """
    return path.resolve() if path.is_symlink() else path


def put_in_place(new: Path, path: Path) -> None:
    """Rename a complete file or folder to `path`, atomically; remove a former `path` afterwards.

    Args:
        new: lies in the same folder as `path`.
    """
    if not path.exists():
        new.rename(path)
        return
    old = new
    if not _exchange(new, path):
        old = _old_path(path, os.getpid())
        path.rename(old)
        try:
            new.rename(path)
        except BaseException:
            old.rename(path)
            raise
    remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically; False if the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0


def remove_abandoned(path: Path, *, own: bool = False) -> None:
    """Remove what killed processes of this machine left behind of `path`, and say so.

    A former `path` that has no successor is put back.

    Args:
        own: whether to remove the leftovers of this process too.
    """
    restore(path)
    remove_abandoned_named(path.parent, glob.escape(path.name), own=own)


def remove_abandoned_named(folder: Path, pattern: str, *, own: bool = False) -> None:
    """Remove what killed processes left behind in a folder, of names that match a pattern."""
    named = folder / pattern
    for leftovers in (partial_path(named, "*"), _old_path(named, "*")):
        for found in folder.glob(leftovers.name):
            if not _is_running(found, own=own):
                remove(found)
                warn(f"{found} was left by a process that is gone, and is removed")


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def restore(path: Path) -> None:
    """Put back a `path` that a killed process renamed and did not replace."""
    if os.path.lexists(path):
        return
    name = path.with_name(glob.escape(path.name))
    for old in path.parent.glob(_old_path(name, "*").name):
        if not _is_running(old):
            old.rename(path)
            warn(f"{path} is back: a process was killed while it replaced it")
            return


def _is_running(leftover: Path, *, own: bool = False) -> bool:
    """Whether the process of a temporary path runs; this one counts as running without `own`."""
    pid = int(leftover.stem.rpartition("-")[2])
    return psutil.pid_exists(pid) and not (own and pid == os.getpid())
