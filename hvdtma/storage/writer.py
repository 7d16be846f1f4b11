"""A Zarr v3 group written whole or not at all, with a checksum of every array."""

from __future__ import annotations

import errno
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import psutil
import xxhash
import zarr

from hvdtma.core.errors import UserError
from hvdtma.core.files import REMOVED, FullDisk, is_full
from hvdtma.storage.array_writer import ArrayWriter
from hvdtma.storage.chunks import ChunkReader

FORMAT = "hvdtma-graph"
FORMAT_VERSION = 1
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@dataclass
class StoreWriter:
    """Writes a store beside `path` and renames it into place when the block ends well.

        with StoreWriter(path, overwrite=False) as writer:
            writer.put("feat", feat_ND)
            writer.attrs["num_nodes"] = ...

    `format` tells apart what else is kept this way, such as embeddings.

    Raises UserError if `path` exists and `overwrite` is off, if it cannot be written, or if the
    disk fills up. Then nothing is left behind, and what stood at `path` stands there still.
    """

    path: Path
    overwrite: bool = False
    format: str = FORMAT
    attrs: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> StoreWriter:
        self.path = Path(self.path)
        refuse_existing(self.path, self.overwrite)
        self.beside = partial_beside(self.path, os.getpid())
        self.attrs.setdefault("checksums", {})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.path)
            self.group = zarr.open_group(self.beside, mode="w", zarr_format=3)
        except BaseException as error:
            self._give_up(error)
            raise
        return self

    def put(self, name: str, values: np.ndarray) -> None:
        """Write a whole array."""
        with self.growing(name, values.dtype, len(values), values.shape[1:]) as array:
            array.append(values)

    @contextmanager
    def growing(
        self,
        name: str,
        dtype: np.dtype | type,
        most_rows: int,
        row_shape: tuple[int, ...] = (),
        *,
        chunk_bytes: int | None = None,
        chunk_rows: int | None = None,
    ) -> Iterator[ArrayWriter]:
        """An array to append rows to (see `ArrayWriter`); it is whole when the block ends."""
        array = ArrayWriter(
            self.group, name, np.dtype(dtype), most_rows, row_shape, chunk_bytes, chunk_rows
        )
        yield array
        self.attrs["checksums"][name] = array.close()

    def array(self, name: str) -> zarr.Array:
        """An array that was written, to be read again."""
        return cast(zarr.Array, self.group[name])

    def written(self, name: str) -> ChunkReader:
        """An array that was written, to be read by ranges."""
        return ChunkReader(self.beside / name, self.array(name))

    @property
    def scratch(self) -> Path:
        """A folder for what is not to stay; made by whoever needs it."""
        return self.beside / ".scratch"

    def made_scratch(self) -> Path:
        """The same folder, made."""
        self.scratch.mkdir(exist_ok=True)
        return self.scratch

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._give_up(error)
            return
        try:
            self._finish()
        except BaseException as failure:
            self._give_up(failure)
            raise

    def _finish(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.attrs.setdefault("graph", _digest_of(self.attrs["checksums"]))
        self.group.attrs.update(
            {
                "format": self.format,
                "format_version": FORMAT_VERSION,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                **self.attrs,
            }
        )
        refuse_existing(self.path, self.overwrite)  # something may have come to stand there
        replace_folder(self.beside, self.path)

    def _give_up(self, error: BaseException) -> None:
        """Remove what was written; raises UserError for what is the disk's fault."""
        shutil.rmtree(self.beside, ignore_errors=True)
        if is_full(error):
            raise FullDisk.of(self.path, REMOVED) from error
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise UserError(f"{self.path} cannot be written: {error}") from error


def _digest_of(checksums: dict[str, str]) -> str:
    """One checksum of all arrays: which graph this is, with which split."""
    return xxhash.xxh3_128("".join(sorted(checksums.values())).encode()).hexdigest()


def partial_beside(path: Path, pid: int | str) -> Path:
    """Where process `pid` of this machine writes what will become `path`."""
    return path.with_name(f".{path.name}.{platform.node()}-{pid}.partial")


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes of this machine left of earlier attempts at `path`."""
    for left in path.parent.glob(partial_beside(path, "*").name):
        pid = int(left.stem.rpartition("-")[2])
        if pid == os.getpid() or not psutil.pid_exists(pid):
            shutil.rmtree(left, ignore_errors=True)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises UserError if something stands at `path` that may not be replaced."""
    if not path.exists():
        return
    if not overwrite:
        raise UserError(f"{path} exists; give --overwrite to replace it, or another name")
    if not _format_of(path).startswith("hvdtma-"):
        raise UserError(f"{path} exists and is not a store; --overwrite will not remove it")


def _format_of(path: Path) -> str:
    try:
        return str(zarr.open_group(path, mode="r").attrs.get("format"))
    except (OSError, ValueError):
        return "no Zarr group"


def replace_folder(new: Path, path: Path) -> None:
    """Put a finished folder at `path`; what stood there is removed after, not before."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
