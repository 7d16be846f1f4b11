"""Rows of unseen items, which are in no training hyperedge.

Nothing is observed of an unseen item. In a ranking loss it occurs only as a corrupted item, which
would push its initial row down. Its row is therefore the mean of the learned rows; features and the
graph are added to it.

Rows that explain all of their few hyperedges leave features and graphs little to learn. Training
may therefore drop rows, others in each iteration: the mean takes their place too, after the idea of
DropoutNet (Volkovs, Yu and Poutanen, NeurIPS 2017). Biases are not dropped.

Legend: N items.
"""

from __future__ import annotations

from zlib import crc32

import torch


def mean_for_unseen(
    values_NX: torch.Tensor, seen_NX: torch.Tensor | None, kept_N1: torch.Tensor | None = None
) -> torch.Tensor:
    """The values [N, X], with unseen and dropped ones replaced by the mean of the column.

    The mean is over the seen values of the column, also dropped ones, and has no gradient.

    Args:
        seen_NX: bool, or [N, 1] for whole rows; None: all are seen. A column without seen values
            is not changed.
        kept_N1: bool, the rows that are not dropped; None: all.
    """
    if seen_NX is None and kept_N1 is None:
        return values_NX
    with torch.no_grad():
        seen_NX = (
            torch.ones_like(values_NX[:, :1], dtype=torch.bool) if seen_NX is None else seen_NX
        )
        count_X = seen_NX.sum(0)
        mean_X = (values_NX * seen_NX).sum(0) / count_X.clamp(min=1)
        own_NX = seen_NX if kept_N1 is None else seen_NX & kept_N1
    return torch.where(own_NX | (count_X == 0), values_NX, mean_X)


def kept_rows(
    modality: str, num_items: int, dropout: float, seed: int, iteration: int
) -> torch.Tensor | None:
    """The rows that are not dropped, bool [N, 1]; None: all.

    The same on any rank.
    """
    if not dropout:
        return None
    drawn = torch.Generator().manual_seed(crc32(f"{seed} {iteration} {modality}".encode()))
    return (torch.rand(num_items, generator=drawn) >= dropout)[:, None]
