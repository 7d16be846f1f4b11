"""Items that no hyperedge to train on has: what stands in for what cannot be learned of them.

Of such an item nothing is observed; in a ranking loss it only ever is a corrupted one, and its row
would be the one it began as, pushed down. The mean of the rows that are learned says as little as
is known; features and the graph are added to it.

Rows that explain all of their few hyperedges leave features and graph nothing to learn. So some are
dropped in training, others in each iteration: these items are treated as if they were unseen
(DropoutNet: Volkovs, Yu and Poutanen, NeurIPS 2017).

Legend: N items.
"""

from __future__ import annotations

from zlib import crc32

import torch


def mean_for_unseen(values_NX: torch.Tensor, seen_NX: torch.Tensor | None) -> torch.Tensor:
    """[N, X], with the mean of a column's seen entries, without gradient, in place of the others.

    Args:
        seen_NX: bool, [N, 1] for whole rows; None: all are seen. A column without any is left.
    """
    if seen_NX is None:
        return values_NX
    with torch.no_grad():
        count_X = seen_NX.sum(0)
        mean_X = (values_NX * seen_NX).sum(0) / count_X.clamp(min=1)
    return torch.where(seen_NX | (count_X == 0), values_NX, mean_X)


def both(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    """Where two masks hold; None is one that always does."""
    return one if other is None else other if one is None else one & other


def kept_rows(
    modality: str, num_items: int, dropout: float, seed: int, iteration: int
) -> torch.Tensor | None:
    """Which rows are not dropped, bool [N, 1]; None: all are kept.

    The same wherever the modality is trained.
    """
    if not dropout:
        return None
    drawn = torch.Generator().manual_seed(crc32(f"{seed} {iteration} {modality}".encode()))
    return (torch.rand(num_items, generator=drawn) >= dropout)[:, None]
