"""Products of sparse and dense matrices, with a fast gradient.

Legend: n rows, m columns, E entries, R width.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A constant sparse matrix [n, m]; `matrix @ dense` has a gradient for the dense matrix.

    PyTorch's product converts the transpose in every backward pass; here it is stored.

    Attributes:
        csr: the matrix as a torch CSR tensor.
        csr_T: its transpose [m, n] as a CSR tensor; the same tensor if the matrix is symmetric.
    """

    csr: torch.Tensor
    csr_T: torch.Tensor

    @classmethod
    def of(
        cls,
        row_E: torch.Tensor,
        col_E: torch.Tensor,
        value_E: torch.Tensor,
        shape: Sequence[int],
        *,
        symmetric: bool = False,
    ) -> SparseMatrix:
        """A matrix of entries in any order; repeated entries add up. Indices are int64."""
        csr = _csr(row_E, col_E, value_E, (shape[0], shape[1]))
        return cls(csr, csr if symmetric else _csr(col_E, row_E, value_E, (shape[1], shape[0])))

    @property
    def T(self) -> SparseMatrix:  # noqa: N802  as torch calls it
        """The transpose."""
        return SparseMatrix(self.csr_T, self.csr)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.csr.shape[0], self.csr.shape[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseMatrix:
        return self  # it is constant, and torch cannot copy CSR tensors deeply

    def to(self, *where: Any) -> SparseMatrix:
        """The matrix on a device or in a dtype; the same object if nothing changes."""
        csr = self.csr.to(*where)
        if csr is self.csr:
            return self
        return SparseMatrix(csr, csr if self.csr_T is self.csr else self.csr_T.to(*where))

    def __matmul__(self, dense_mR: torch.Tensor) -> torch.Tensor:
        """The product [n, R]; raises RuntimeError if dtypes, devices or shapes do not fit."""
        return _Product.apply(self.csr, self.csr_T, dense_mR)


class _Product(torch.autograd.Function):
    """A CSR tensor times a dense one: O(E R), forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, csr: torch.Tensor, csr_T: torch.Tensor, dense_mR: torch.Tensor
    ) -> torch.Tensor:
        ctx.csr, ctx.csr_T = csr, csr_T
        return csr @ dense_mR

    @staticmethod
    def backward(ctx: Any, grad_nR: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        return None, None, _Product.apply(ctx.csr_T, ctx.csr, grad_nR)


def inverse_root(degree: torch.Tensor) -> torch.Tensor:
    """degree^-1/2; 0, with a finite gradient, where the degree is not positive."""
    positive = degree > 0
    return torch.where(positive, degree, 1).rsqrt() * positive


def _csr(
    row_E: torch.Tensor, col_E: torch.Tensor, value_E: torch.Tensor, shape: tuple[int, int]
) -> torch.Tensor:
    at_2E = torch.stack([row_E, col_E])
    coo = torch.sparse_coo_tensor(at_2E, value_E, shape, check_invariants=True).coalesce()
    row, col = coo.indices()
    start = torch.searchsorted(row, torch.arange(shape[0] + 1, device=row.device))
    # products with 32-bit indices are twice as fast
    width = torch.int32 if max(*shape, len(row)) < 2**31 else torch.int64
    with warnings.catch_warnings():  # the first CSR tensor of a process warns of the beta state
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            start.to(width), col.to(width), coo.values(), shape, check_invariants=True
        )
