"""Ranking present hyperedges above corrupted ones.

Legend: n hyperedges, K modalities, N_k items of one, R rank, m corrupted items.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy

from hypergraph.model.objective.predict import products_of_others, rows_of, take


def corrupt(
    indices_nK: torch.Tensor, sizes: Sequence[int], m: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw m other items for each modality of each hyperedge, int64 [n, K, m].

    Uniform, with replacement, over the N_k items except the hyperedge's own. A modality of one item
    gives that item, which has no effect on the loss. A corrupted hyperedge may by chance be a
    present one. Items are drawn on the generator's device: a CPU generator draws the same for any
    device.
    """
    drawn = torch.empty(*indices_nK.shape, m, dtype=torch.int64, device=generator.device)
    own_nK1 = indices_nK.to(generator.device)[:, :, None]
    for k, size in enumerate(sizes):
        drawn[:, k].random_(0, max(size - 1, 1), generator=generator)
        if size > 1:
            drawn[:, k] += drawn[:, k] >= own_nK1[:, k]
    return drawn.to(indices_nK.device)


def ranking_loss(
    indices_nK: torch.Tensor,
    corrupted_nKm: torch.Tensor,
    factors: Sequence[torch.Tensor],
    *,
    biases: Sequence[torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """Sampled softmax of the true item of each modality against m corrupted ones.

    The mean over hyperedges and modalities of the cross-entropy of 1 + m scores; log(1 + m) for
    equal scores, 0 without hyperedges. With m = 1 it is BPR (Rendle et al., UAI 2009). It is used
    instead of the mean of m BPR terms: those spend most of the gradient on corrupted items that are
    ranked below already, while the softmax concentrates on the few that are still above, which
    determine the reciprocal rank. O(n K m R).

    Args:
        indices_nK: int64, present hyperedges.
        corrupted_nKm: int64, such as from `corrupt`.
        factors: [N_k, R] each; detach those that need no gradient.
        biases: [N_k] each, added to the scores of a modality's items; None: no biases.
    """
    rows = rows_of(indices_nK, factors)
    truth_n = indices_nK.new_zeros(len(indices_nK))
    total = rows[0].new_zeros(())
    for k, others_nR in enumerate(products_of_others(rows)):
        false_nmR = take(factors[k], corrupted_nKm[:, k])
        true_n1 = (others_nR * rows[k]).sum(1, keepdim=True)
        false_nm = (false_nmR @ others_nR[:, :, None])[:, :, 0]
        score_n1m = torch.cat([true_n1, false_nm], 1)
        bias_N = None if biases is None else biases[k]
        if bias_N is not None:
            own_n1 = bias_N[indices_nK[:, k, None]]
            score_n1m = score_n1m + torch.cat([own_n1, bias_N[corrupted_nKm[:, k]]], 1)
        total = total + cross_entropy(score_n1m, truth_n, reduction="sum")
    return total / max(indices_nK.numel(), 1)
