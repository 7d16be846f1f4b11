"""The correction of in-batch negatives for popularity (logQ).

In-batch negatives are replaced ends of a batch's links, so a node is drawn in proportion to the
number of its links. A corrected score is the score minus the logarithm of that probability (Yi et
al., RecSys 2019, section 3). Shared negatives are distinct nodes: a node is among them if any of b
links has it, with the probability 1 - (1 - q)^b, which is far from proportional to q for hubs.

Legend: B links, n nodes.
"""

from __future__ import annotations

import numpy as np
import torch

from hvdtma.tasks.link_batch import LinkBatch
from hvdtma.tasks.link_losses import LinkScores


def log_drawn(
    ends_2n: np.ndarray, nodes: np.ndarray, of_sources: np.ndarray | bool, draws: int = 1
) -> torch.Tensor:
    """The logarithms, float32, of the probabilities that nodes are among the drawn ones.

    Args:
        ends_2n: the number of links by destination, and by source (`Positives.ends`).
        of_sources: whether a source is drawn, for all nodes or for each.
        draws: number of links whose ends are drawn.
    """
    row = np.broadcast_to(np.asarray(of_sources, np.int64), nodes.shape)
    chance = ends_2n[row, nodes] / max(ends_2n[0].sum(), 1)
    with np.errstate(divide="ignore"):  # of a single node: its chance is 1
        chance = -np.expm1(draws * np.log1p(-chance))
        return torch.from_numpy(np.log(chance)).float()


def correct_popularity(groups: list[LinkScores], batch: LinkBatch) -> list[LinkScores]:
    """The scores of a batch minus the logarithms of its `log_drawn`."""
    log_B, log_Q = batch.log_replaced, batch.log_negative
    assert log_B is not None
    assert log_Q is not None
    if not batch.shared:
        ((positive_B, negative_Q, row_Q),) = groups
        return [LinkScores(positive_B - log_B, negative_Q - log_Q, row_Q)]
    corrected = []
    for (positive_b, negative_bK, _), shared in zip(groups, batch.shared, strict=True):
        assert shared.log_drawn is not None
        positive_b, negative_bK = positive_b - log_B[shared.row], negative_bK - shared.log_drawn
        corrected.append(LinkScores(positive_b, negative_bK))
    return corrected
