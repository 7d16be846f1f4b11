"""What an array of indices must be."""

from __future__ import annotations

import torch

from hvdtma.core.errors import UserError


def check_indices(what: str, indices: torch.Tensor, size: int) -> None:
    """Raises UserError unless all are integers from 0 to size - 1."""
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise UserError(f"{what} is {indices.dtype}; indices must be integers")
    if not len(indices):
        return
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise UserError(
            f"{what} has the index {wrong}; with {size} of them, valid: 0 to {size - 1}"
        )
