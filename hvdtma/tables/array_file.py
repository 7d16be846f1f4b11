"""Read NumPy's and SciPy's files without pickles: sequentially, a few rows at a time, or whole.

Files are not mapped, for the mapped pages would count as memory of this process. A compressed
.npz is decompressed while it is read.

Legend: R rows, n rows of a piece.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error,
               AttributeError, TypeError, NotImplementedError)  # fmt: skip
_SCIPY = {"format", "shape", "data"}  # arrays in every file of scipy.sparse.save_npz


@dataclass(frozen=True)
class ArrayFile:
    """An array on disk; only its header has been read.

    Attributes:
        path: the .npy or .npz file.
        member: name of the array within a .npz, or None.
        shape, dtype: of the array.
        column_major: whether the file is in Fortran order.
    """

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype
    column_major: bool

    def pieces(self, rows: int) -> Iterator[np.ndarray]:
        """The array in pieces [n, ...] of `rows` rows; raises UserError for a truncated file.

        Of a column-major array: the pieces of its transpose.
        """
        shape = self.shape[::-1] if self.column_major else self.shape
        row_shape = shape[1:]
        row_values = int(np.prod(row_shape, dtype=np.int64))
        with self._data() as file:
            for start in range(0, shape[0], rows):
                num = min(rows, shape[0] - start)
                yield self._read(file, num * row_values).reshape(num, *row_shape)

    def run_pieces(self, run: int, values: int) -> Iterator[np.ndarray]:
        """One row of a matrix (one column if it is column-major), in pieces [n]."""
        length = self.shape[0] if self.column_major else self.shape[1]
        with self._data() as file:
            file.seek(file.tell() + run * length * self.dtype.itemsize)
            for start in range(0, length, values):
                yield self._read(file, min(values, length - start))

    def _read(self, file: IO[bytes], num_values: int) -> np.ndarray:
        num_bytes = num_values * self.dtype.itemsize
        with _user_errors(self.path):
            data = file.read(num_bytes)
        if len(data) < num_bytes:
            raise UserError(f"'{self.path}' cannot be read: the file ends before its array does")
        return np.frombuffer(data, self.dtype)

    @contextmanager
    def _data(self) -> Iterator[IO[bytes]]:
        """The file, positioned at the array's first value."""
        with _opened(self.path, self.member) as file:
            _header(file)
            yield file


def arrays_of(path: Path) -> dict[str, ArrayFile] | None:
    """The arrays of a .npz file by name, that of a .npy file without one; None for a SciPy matrix.

    Raises UserError for a file of another format, and for arrays of Python objects.
    """
    with _user_errors(path):
        members: dict[str, str | None] = {"": None}
        if path.suffix.lower() != ".npy":
            with zipfile.ZipFile(path) as archive:
                members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if members.keys() >= _SCIPY:
            return None
        arrays = {}
        for name, member in members.items():
            with _opened(path, member) as file:
                arrays[name] = ArrayFile(path, member, *_header(file))
        return arrays


def load_npz(path: Path) -> dict[str, np.ndarray] | sp.csr_matrix:
    """The arrays of a .npz file by name, or the matrix of a SciPy file, in memory.

    Raises UserError for a file of another format, and for arrays of Python objects.
    """
    with _user_errors(path), np.load(path, allow_pickle=False) as arrays:
        if not set(arrays.files) >= _SCIPY:
            return {name: arrays[name] for name in arrays.files}
    return load_matrix(path)


def load_matrix(path: Path) -> sp.csr_matrix:
    """The matrix of a SciPy file, in memory; raises UserError for a file of another format."""
    with _user_errors(path):
        return sp.csr_matrix(sp.load_npz(path))


@contextmanager
def _user_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise UserError(f"'{path}' cannot be read as NumPy arrays: {error}") from None


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        yield file


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype, and whether column-major; raises ValueError for Python objects."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version := np.lib.format.read_magic(file))
    if read is None:
        raise ValueError(f"version {version} of the NumPy format is not supported")
    shape, column_major, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, dtype, column_major and len(shape) > 1
