"""The highest scores of each row, with ties in the order of the columns.

Legend: Q rows, C columns, k scores that are kept.
"""

from __future__ import annotations

import torch


def best_columns(score_QC: torch.Tensor, k: int) -> torch.Tensor:
    """The columns int64 [Q, k] of the k highest scores, the highest first.

    Of equal scores, that of the lower column comes first, which `torch.topk` does not promise.
    """
    k = min(k, score_QC.shape[1])
    top_Qk, column_Qk = score_QC.topk(k, dim=1)
    least_Q1 = top_Qk[:, -1:]
    tied = torch.nonzero((score_QC >= least_Q1).sum(1) > k).view(-1)  # with ties at the end
    for rows in tied.split(64):  # the counts below take 8 bytes per score
        score_qC, least_q1 = score_QC[rows], least_Q1[rows]
        higher_qC, equal_qC = score_qC > least_q1, score_qC == least_q1
        left_q1 = k - higher_qC.sum(1, keepdim=True)
        chosen_qC = higher_qC | (equal_qC & (equal_qC.cumsum(1) <= left_q1))
        column_Qk[rows] = torch.nonzero(chosen_qC)[:, 1].view(len(rows), k)
    column_Qk = column_Qk.sort(1).values
    return column_Qk.gather(1, _order(score_QC.gather(1, column_Qk)))


def merged(
    one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor], k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k highest of two lists of scores and nodes [Q, ...], each with the highest first.

    Of equal scores, those of `one` come first.
    """
    score, node = (torch.cat(pair, 1) for pair in zip(one, other, strict=True))
    order = _order(score)[:, :k]
    return score.gather(1, order), node.gather(1, order)


def _order(score: torch.Tensor) -> torch.Tensor:
    """The columns of each row by score, the highest first; equal ones in their order."""
    return score.sort(dim=1, descending=True, stable=True).indices
