"""Open the user's files: endings, gzip, and NumPy's formats without pickles."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError

TEXT = (".csv", ".tsv", ".txt", ".edges", ".edgelist")
UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def suffix_of(path: Path, valid: list[str], content: str) -> str:
    """The suffix of `path` without `.gz`.

    Raises UserError for a missing file and for a suffix that is not in `valid`; `content` is a word
    for messages, such as "edges".
    """
    suffixes = [s.lower() for s in path.suffixes]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    if suffix + ".gz" * zipped not in valid:
        raise UserError(f"{content} file '{path}' has an unknown ending; valid: {', '.join(valid)}")
    if not path.is_file():
        raise UserError(f"there is no {content} file '{path}'")
    return suffix


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, gzipped or not; bytes that are not UTF-8 are read as lone surrogates."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as f:
            yield f
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None


def load_npz(path: Path) -> dict[str, np.ndarray] | sp.csr_matrix:
    """The arrays of a .npz file by name, or the matrix of a SciPy file.

    Raises UserError for a file of another format, and for arrays of Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not {"format", "shape", "data"} <= set(arrays.files):
                return {name: arrays[name] for name in arrays.files}
        return sp.csr_matrix(sp.load_npz(path))
    except (*UNREADABLE, AttributeError, TypeError, NotImplementedError) as error:
        raise UserError(f"'{path}' cannot be read as NumPy arrays: {error}") from None


def load_matrix(path: Path) -> sp.csr_matrix:
    """The matrix of a SciPy file; raises UserError for a file of another format."""
    matrix = load_npz(path)
    if isinstance(matrix, dict):
        raise UserError(f"'{path}' cannot be read as a SciPy matrix")
    return matrix
