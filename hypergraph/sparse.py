"""Sparse matrices that multiply dense ones, forward and backward.

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
    """A constant sparse matrix [n, m]; `matrix @ dense` has a gradient to the dense side.

    PyTorch's own product converts the transpose anew in every backward pass; here it is kept.

    Attributes:
        csr: the matrix as a torch CSR tensor.
        csr_T: its transpose [m, n], likewise; the same tensor if the matrix is symmetric.
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
        """From entries in any order; those at the same place add up. Indices are int64."""
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
        return self  # it is constant, and torch copies no CSR tensor deeply

    def to(self, *where: Any) -> SparseMatrix:
        """The same matrix on a device or in a dtype; itself if it is there already."""
        csr = self.csr.to(*where)
        if csr is self.csr:
            return self
        return SparseMatrix(csr, csr if self.csr_T is self.csr else self.csr_T.to(*where))

    def __matmul__(self, dense_mR: torch.Tensor) -> torch.Tensor:
        """[n, R]; raises RuntimeError if dtypes, devices or shapes do not go together."""
        return _Product.apply(self.csr, self.csr_T, dense_mR)


class _Product(torch.autograd.Function):
    """A CSR tensor times a dense one, in O(E R) both ways."""

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
    """degree^-1/2, and 0 where the degree is not positive, with a gradient that is finite there."""
    positive = degree > 0
    return torch.where(positive, degree, 1).rsqrt() * positive


def _csr(
    row_E: torch.Tensor, col_E: torch.Tensor, value_E: torch.Tensor, shape: tuple[int, int]
) -> torch.Tensor:
    at_2E = torch.stack([row_E, col_E])
    coo = torch.sparse_coo_tensor(at_2E, value_E, shape, check_invariants=True).coalesce()
    row, col = coo.indices()
    start = torch.searchsorted(row, torch.arange(shape[0] + 1, device=row.device))
    # products with 32-bit indices take half the time
    width = torch.int32 if max(*shape, len(row)) < 2**31 else torch.int64
    with warnings.catch_warnings():  # of its being in beta, at the first CSR tensor of a process
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            start.to(width), col.to(width), coo.values(), shape, check_invariants=True
        )
