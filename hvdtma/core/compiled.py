"""`njit`: Numba's compiler, with the compiled code kept in files for the next process.

Numba keeps compiled code in `NUMBA_CACHE_DIR`, beside the source file or in the user's cache
folder, whichever can be written to. Where none can (an installation that is read-only, and no
home), a private folder under `TMPDIR` serves; without that either, each process compiles anew. A
cache only saves time: no error of it stops the program.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

from hvdtma.core.version import __version__

Function = TypeVar("Function", bound=Callable[..., Any])


def njit(**options: Any) -> Callable[[Function], Function]:
    """A decorator: compile a function without Python objects, and keep the compiled code.

    Args:
        options: of `numba.njit`, such as `nogil` and `parallel`; not `cache`, which is always on.
    """

    def decorate(function: Function) -> Function:
        compiled: Any = numba.njit(**options)(function)
        files = _files_of(function)
        if files is not None:
            compiled._cache = files  # as Dispatcher.enable_caching does
        return compiled

    return decorate


class CodeFiles(FunctionCache):
    """Compiled code of one function in files; damaged files are replaced."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function)
        # Numba only looks at the function's own file, but it may call functions of other files.
        stamp = self._cache_file._source_stamp
        self._cache_file._source_stamp = (stamp, __version__, *_stamps_of_called(function))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - a damaged pickle may raise anything
            with suppress(OSError):
                self.flush()  # an index that cannot be read could not be added to either
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def _stamps_of_called(function: Callable[..., Any]) -> list[Any]:
    """The stamps of the compiled functions that a function calls, which contain those of theirs.

    Functions of the same file that come after it are missing: the file's own stamp covers them.
    """
    called = [function.__globals__.get(name) for name in function.__code__.co_names]
    dispatchers: list[Any] = [each for each in called if isinstance(each, Dispatcher)]
    files = [each._cache for each in dispatchers]
    return [each._cache_file._source_stamp for each in files if isinstance(each, CodeFiles)]


def _files_of(function: Callable[..., Any]) -> CodeFiles | None:
    """The files of a function's compiled code; None if no folder for them can be written to."""
    unusable = (RuntimeError, OSError, AttributeError)  # no folder for it; or another Numba's class
    with suppress(*unusable):
        return CodeFiles(function)
    folder = _private_folder()
    if folder is None:
        return None
    settings: Any = numba.config
    chosen, settings.CACHE_DIR = settings.CACHE_DIR, str(folder)
    try:
        with suppress(*unusable):
            return CodeFiles(function)
    finally:
        settings.CACHE_DIR = chosen
    return None


@cache
def _private_folder() -> Path | None:
    """A folder under TMPDIR that nobody else can write to: its files are run as code."""
    try:
        folder = Path(tempfile.gettempdir()) / f"hvdtma-compiled-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return folder if private and found.st_uid == os.getuid() else None
