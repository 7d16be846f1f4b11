"""A check of index tensors."""

from __future__ import annotations

import torch

from hvdtma.core.errors import UserError


def check_indices(what: str, indices: torch.Tensor, size: int) -> None:
    """Raises UserError unless all indices are integers from 0 to size - 1.

    Args:
        what: the name of the tensor in errors.
    """
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise UserError(f"{what} is {indices.dtype}; indices must be integers")
    if not len(indices):
        return
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise UserError(
            f"{what} has the index {wrong}; the size is {size}, so valid are 0 to {size - 1}"
        )
