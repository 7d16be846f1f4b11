"""Losses of link prediction, on scores of positives and of their negatives.

`softmax` is sampled softmax: the cross-entropy of the positive among itself and its negatives. With
negatives that are drawn by popularity, a corrected score is the score minus the logarithm of the
node's probability of being drawn (logQ; Yi et al., RecSys 2019). `bce` is the binary cross-entropy
of each link, as in the TMA paper: the average of the mean over positives and the mean over
negatives. `margin` is the hinge loss of each pair of a positive and one of its negatives.

Legend: b positives, K negatives that they share, or Q negatives of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import softplus


class LinkScores(NamedTuple):
    """Scores of some positives and of their negatives.

    Attributes:
        positive: float [b].
        negative: float [b, K], minus infinity for pairs that are no negatives; or [Q].
        row: int64 [Q], the positive of each negative; None if `negative` is a matrix.
    """

    positive: torch.Tensor
    negative: torch.Tensor
    row: torch.Tensor | None = None

    @property
    def of_negatives(self) -> torch.Tensor:
        """The score of the positive of each negative: [b, 1], or [Q]."""
        return self.positive[:, None] if self.row is None else self.positive[self.row]

    @property
    def num_negatives(self) -> torch.Tensor:
        """The number of negatives, a scalar."""
        return (self.negative > -torch.inf).sum()


def softmax(groups: list[LinkScores]) -> torch.Tensor:
    """The mean over all positives of -log(exp(positive) / (exp(positive) + sum exp(negatives)))."""
    losses = [_softmax(group) for group in groups]
    return torch.stack(losses).sum() / sum(len(group.positive) for group in groups)


def _softmax(group: LinkScores) -> torch.Tensor:
    if group.row is None:
        score_b1K = torch.cat([group.positive[:, None], group.negative], 1)
        return (score_b1K.logsumexp(1) - group.positive).sum()
    # One positive may have fewer negatives than another: sums by row, relative to the largest.
    largest_b = group.positive.detach().scatter_reduce(
        0, group.row, group.negative.detach(), "amax"
    )
    total_b = (group.positive - largest_b).exp()
    total_b = total_b.index_add(0, group.row, (group.negative - largest_b[group.row]).exp())
    return (total_b.log() + largest_b - group.positive).sum()


def bce(groups: list[LinkScores]) -> torch.Tensor:
    """The average of the mean over positives and the mean over negatives (1 / 2 of each)."""
    positive = torch.cat([softplus(-group.positive) for group in groups]).mean()
    if not sum(group.negative.numel() for group in groups):
        return positive
    number = torch.stack([group.num_negatives for group in groups]).sum()
    negative = torch.stack([softplus(group.negative).sum() for group in groups]).sum()
    return (positive + negative / number.clamp(min=1)) / 2


def margin(groups: list[LinkScores], width: float = 1.0) -> torch.Tensor:
    """The mean over all pairs of max(0, `width` - positive + negative)."""
    number = torch.stack([group.num_negatives for group in groups]).sum()
    hinges = [(width - group.of_negatives + group.negative).relu().sum() for group in groups]
    return torch.stack(hinges).sum() / number.clamp(min=1)


LOSSES: dict[str, Callable[[list[LinkScores]], torch.Tensor]] = {
    "softmax": softmax,
    "bce": bce,
    "margin": margin,
}
