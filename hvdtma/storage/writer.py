"""Write a Zarr v3 group atomically, with a checksum of every array."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import zarr

from hvdtma.core.digests import digest_of, with_digest
from hvdtma.core.errors import UserError
from hvdtma.core.files import REMOVED, FullDisk, is_full
from hvdtma.core.partial import partial_path, put_in_place, remove_abandoned, through_link
from hvdtma.storage.array_writer import ArrayWriter
from hvdtma.storage.chunks import ChunkReader

FORMAT = "hvdtma-graph"
FORMAT_VERSION = 2  # 1 had no digests of attributes, chunks and metadata
SCRATCH = ".scratch"
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@dataclass
class StoreWriter:
    """Writes a store in a temporary folder and renames it to `path` if the block succeeds.

        with StoreWriter(path, overwrite=False) as writer:
            writer.put("feat", feat_ND)
            writer.attrs["num_nodes"] = ...

    Attributes:
        path: the store.
        overwrite: whether to replace an existing store.
        format: the kind of content; embeddings have another one than graphs.
        attrs: the attributes of the group; the caller adds to them.

    Raises UserError if `path` exists and `overwrite` is off, if `path` cannot be written, and if
    the disk is full. On any error the temporary folder is removed and `path` stays as it was.
    """

    path: Path
    overwrite: bool = False
    format: str = FORMAT
    attrs: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> StoreWriter:
        self.path = through_link(Path(self.path))
        refuse_existing(self.path, self.overwrite)
        self.partial = partial_path(self.path, os.getpid())
        for kind in ("checksums", "chunk_crcs", "metadata"):
            self.attrs.setdefault(kind, {})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.path, own=True)
            self.group = zarr.open_group(self.partial, mode="w", zarr_format=3)
        except BaseException as error:
            self._give_up(error)
            raise
        return self

    def put(self, name: str, values: np.ndarray) -> None:
        """Write a whole array."""
        with self.create_array(name, values.dtype, len(values), values.shape[1:]) as array:
            array.append(values)

    @contextmanager
    def create_array(
        self,
        name: str,
        dtype: np.dtype | type,
        max_rows: int,
        row_shape: tuple[int, ...] = (),
        *,
        chunk_bytes: int | None = None,
        chunk_rows: int | None = None,
    ) -> Iterator[ArrayWriter]:
        """A new array to append rows to, see `ArrayWriter`; the end of the block completes it."""
        array = ArrayWriter(
            self.group, name, np.dtype(dtype), max_rows, row_shape, chunk_bytes, chunk_rows
        )
        yield array
        digests = array.close()
        self.attrs["checksums"][name] = digests.values
        self.attrs["chunk_crcs"][name] = digests.chunks
        self.attrs["metadata"][name] = digests.metadata

    def array(self, name: str) -> zarr.Array:
        """A complete array of the new store."""
        return cast(zarr.Array, self.group[name])

    def reader(self, name: str) -> ChunkReader:
        """A reader of row ranges of a complete array."""
        return ChunkReader(self.partial / name, self.array(name))

    def scratch_folder(self) -> Path:
        """A folder for temporary files; removed before the store is complete."""
        folder = self.partial / SCRATCH
        folder.mkdir(exist_ok=True)
        return folder

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
        shutil.rmtree(self.partial / SCRATCH, ignore_errors=True)
        self.attrs.setdefault("graph", _digest_of(self.attrs["checksums"]))
        attrs = {
            "format": self.format,
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.attrs,
        }
        self.group.attrs.update(with_digest(attrs))
        refuse_existing(self.path, self.overwrite)  # another process may have written there
        put_in_place(self.partial, self.path)

    def _give_up(self, error: BaseException) -> None:
        """Remove the temporary folder; raise UserError for errors of the disk."""
        shutil.rmtree(self.partial, ignore_errors=True)
        if is_full(error):
            raise FullDisk.of(self.path, REMOVED) from error
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise UserError(f"{self.path} cannot be written: {error}") from error


def _digest_of(checksums: dict[str, str]) -> str:
    """One checksum of all arrays, the identity of a graph with its split."""
    return digest_of("".join(sorted(checksums.values())).encode())


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise UserError if `path` exists and must not be replaced."""
    if not path.exists():
        return
    if not overwrite:
        raise UserError(f"{path} exists; give --overwrite to replace it, or choose another path")
    if not _format_of(path).startswith("hvdtma-"):
        raise UserError(f"{path} exists and is not a store; --overwrite will not remove it")


def _format_of(path: Path) -> str:
    try:
        return str(zarr.open_group(path, mode="r").attrs.get("format"))
    except (OSError, ValueError):
        return "no Zarr group"
