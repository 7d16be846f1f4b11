"""A lock file that one process holds at a time, and that is gone when nobody holds it.

The lock is flock's: it ends with the process that holds it. The holder removes the file before it
lets go of the lock. A process that waited for the removed file would then hold a lock that no other
process sees. So a process that gets the lock checks that its file is still the one at the path, and
otherwise starts again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from hvdtma.core.console import console

POLL_S = 0.2
MAX_TRIES = 100  # while other processes remove the file or its folder again and again
REMOVED = (errno.ENOENT, errno.ESTALE)  # the second: by another machine, on NFS


class FileLock:
    """A lock on a file.

    The folders above the file are made, and removed with it if nothing else is in them.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file: IO | None = None
        self._made: list[Path] = []  # folders, innermost first

    @property
    def held(self) -> bool:
        """Whether this process has the lock."""
        return self._file is not None

    def acquire(self, timeout_s: float = 0.0) -> bool:
        """Take the lock; False if another process still has it after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        try:
            while not self._try() and time.monotonic() <= deadline:
                time.sleep(POLL_S)
        finally:
            if not self.held:
                self._remove_folders()
        return self.held

    def release(self) -> None:
        """Remove the file, and let go of the lock."""
        if self._file is None:
            return
        with suppress(OSError):  # of a disk that cannot be written to any more
            self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None
        self._remove_folders()

    def _try(self) -> bool:
        """Take the lock if no other process has it; whether it was taken."""
        for _ in range(MAX_TRIES):
            file = self._open()
            if not _flock(file):
                file.close()
                return False
            if _is_at(self.path, file):
                self._file = file
                return True
            file.close()
        return False

    def _open(self) -> IO:
        tries_left = MAX_TRIES
        while True:
            missing = [folder for folder in self.path.parents if not folder.exists()]
            self._made = self._made or missing
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return self.path.open("a")
            except (FileNotFoundError, FileExistsError):
                # Another process removes a folder that it had made, at this moment.
                tries_left -= 1
                if not tries_left:
                    raise

    def _remove_folders(self) -> None:
        """Remove the folders that this process made, up to the first one that is in use."""
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()
        self._made = []


def _is_at(path: Path, file: IO) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError as error:
        if error.errno not in REMOVED:
            raise
        return False


def _flock(file: IO) -> bool:
    """Whether this process has the lock on an open file now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        console.print(f"[yellow]{file.name} cannot be locked: {error.strerror}", soft_wrap=True)
    return True
