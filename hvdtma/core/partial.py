"""Folders of files that are not complete yet, named after the process that writes them."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import psutil


def partial_path(path: Path, pid: int | str) -> Path:
    """The temporary folder in which process `pid` of this machine writes `path`."""
    return path.with_name(f".{path.name}.{platform.node()}-{pid}.partial")


def remove_abandoned(path: Path, *, own: bool = False) -> None:
    """Remove temporary folders of `path` that killed processes of this machine left behind.

    Args:
        path: its name may be a glob.
        own: whether to remove those of this process too.
    """
    for folder in path.parent.glob(partial_path(path, "*").name):
        pid = int(folder.stem.rpartition("-")[2])
        if not psutil.pid_exists(pid) or (own and pid == os.getpid()):
            shutil.rmtree(folder, ignore_errors=True)
