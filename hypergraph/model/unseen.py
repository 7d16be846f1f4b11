"""Items that no hyperedge to train on has: what stands in for what cannot be learned of them.

Of such an item nothing is observed; in a ranking loss it only ever is a corrupted one, and its row
would be the one it began as, pushed down. The mean of the rows that are learned says as little as
is known; features and the graph are added to it.

Rows that explain all of their few hyperedges leave features and graph little to learn. So some may
be dropped in training, others in each iteration: the mean stands in for these items' rows, too,
after the idea of DropoutNet (Volkovs, Yu and Poutanen, NeurIPS 2017). Their biases are kept.

Legend: N items.
"""

from __future__ import annotations

from zlib import crc32

import torch


def mean_for_unseen(
    values_NX: torch.Tensor, seen_NX: torch.Tensor | None, kept_N1: torch.Tensor | None = None
) -> torch.Tensor:
    """[N, X], with the mean of a column's seen entries, without gradient, in place of the others.

    Args:
        seen_NX: bool, [N, 1] for whole rows; None: all are seen. A column without any is left.
        kept_N1: bool, rows that are not dropped: in place of the others stands the mean, too, of
            which they are a part; None: all are kept.
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
    """Which rows are not dropped, bool [N, 1]; None: all are kept.

    The same wherever the modality is trained.
    """
    if not dropout:
        return None
    drawn = torch.Generator().manual_seed(crc32(f"{seed} {iteration} {modality}".encode()))
    return (torch.rand(num_items, generator=drawn) >= dropout)[:, None]
