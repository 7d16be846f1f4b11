"""Arrays, tensors and sparse matrices of any library as NumPy arrays and SciPy matrices.

No library is imported: an object is recognised by its attributes.

Legend: E entries of a matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp


def as_array(values: Any) -> np.ndarray:
    """An array, a list, or a tensor of any device as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy lacks it
            values = values.float()
    return np.asarray(values)


def is_sparse(values: Any) -> bool:
    """Whether an object is a sparse matrix: of SciPy, PyTorch, torch_sparse or DGL."""
    return sp.issparse(values) or _layout(values).startswith("sparse_") or _has_entries(values)


def as_csr(matrix: Any) -> sp.csr_matrix:
    """A sparse matrix of any library in CSR format; repeated entries are added up.

    Entries without values, as in an adjacency of torch_sparse, are 1.
    """
    if sp.issparse(matrix):
        found = sp.csr_matrix(matrix, copy=True)
    elif _layout(matrix) in ("sparse_csr", "sparse_csc"):
        found = _of_compressed(matrix)
    else:
        row, column, value_E = _entries(matrix)
        row, column = as_array(row), as_array(column)
        value = np.ones(len(row), np.float32) if value_E is None else as_array(value_E)
        found = sp.csr_matrix((value, (row, column)), shape=_shape(matrix))
    found.sum_duplicates()
    return found


def num_rows(values: Any) -> int:
    """The length of the first axis of an array, a list or a sparse matrix; 1 for a single value."""
    shape = _shape(values) if _has_entries(values) else np.shape(values)
    return int(shape[0]) if shape else 1


def shape_text(values: Any) -> str:
    """The shape of an array, or the type of another object: `[120, 3]`, `[12]`, `dict`."""
    shape = _shape(values) if hasattr(values, "shape") or _has_entries(values) else None
    if shape is not None:
        return str(list(map(int, shape)))
    return f"[{len(values)}]" if isinstance(values, list | tuple) else type(values).__name__


def _has_entries(values: Any) -> bool:
    """Whether an object is a sparse matrix of torch_sparse or DGL, and no graph of PyG."""
    return hasattr(values, "coo") and (hasattr(values, "sparse_sizes") or hasattr(values, "shape"))


def _layout(values: Any) -> str:
    """PyTorch's name of a tensor's layout, such as sparse_coo; empty for other objects."""
    return str(getattr(values, "layout", "")).removeprefix("torch.")


def _shape(matrix: Any) -> tuple[int, ...]:
    sizes = matrix.sparse_sizes() if hasattr(matrix, "sparse_sizes") else matrix.shape
    return tuple(sizes)


def _of_compressed(tensor: Any) -> sp.csr_matrix:
    """A PyTorch tensor in CSR or CSC format."""
    value = as_array(tensor.values())
    if _layout(tensor) == "sparse_csr":
        arrays = (value, as_array(tensor.col_indices()), as_array(tensor.crow_indices()))
        return sp.csr_matrix(arrays, shape=_shape(tensor), copy=True)
    arrays = (value, as_array(tensor.row_indices()), as_array(tensor.ccol_indices()))
    return sp.csr_matrix(sp.csc_matrix(arrays, shape=_shape(tensor)))


def _entries(matrix: Any) -> tuple[Any, Any, Any | None]:
    """Rows, columns and values [E] of a tensor of PyTorch, or a matrix of torch_sparse or DGL."""
    if _has_entries(matrix):  # torch_sparse gives (row, column, value), DGL (row, column)
        row, column, *value = matrix.coo()
        return row, column, value[0] if value else getattr(matrix, "val", None)
    coo = (matrix if _layout(matrix) == "sparse_coo" else matrix.to_sparse()).detach().coalesce()
    row, column = coo.indices()
    return row, column, coo.values()
