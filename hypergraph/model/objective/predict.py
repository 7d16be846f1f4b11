"""Scores of hyperedges in the CP model.

Legend: n hyperedges, K modalities, N_k items of one, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import embedding


def rows_of(indices_nK: torch.Tensor, factors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The rows [n, R] of each modality for hyperedges int64 [n, K] and factors [N_k, R]."""
    return [take(factor, indices_nK[:, k]) for k, factor in enumerate(factors)]


def take(factor_NR: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
    """The rows of items, [*item.shape, R], with a reproducible gradient."""
    if factor_NR.is_cuda:  # there, index_select adds up its gradient in random order
        return embedding(item, factor_NR)
    # on the CPU, index_select is twice as fast as embedding
    return factor_NR.index_select(0, item.flatten()).unflatten(0, item.shape)


def predict(indices_nK: torch.Tensor, factors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Scores [n] of the CP model: sum over r of the product of the K items' entries."""
    first_nR, *rest = rows_of(indices_nK, factors)
    for row_nR in rest:
        first_nR = first_nR * row_nR
    return first_nR.sum(1)


def products_of_others(rows: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """For each k, the product [n, R] of all rows but the k-th, with 3 K products.

    Products from both ends are combined, since dividing by a row fails at zero.
    """
    ones = torch.ones_like(rows[0])
    before, after = [ones], [ones]
    for k in range(len(rows) - 1):
        before.append(before[-1] * rows[k])
        after.append(after[-1] * rows[-1 - k])
    return [left * right for left, right in zip(before, reversed(after), strict=True)]
