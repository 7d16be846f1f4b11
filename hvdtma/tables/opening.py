"""Read NumPy's and SciPy's formats without pickles."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError

UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


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
