"""The squared error over a whole tensor, through Gram matrices.

Legend: n hyperedges given, K modalities, N_k items of one, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from hvdtma.core.errors import UserError
from hypergraph.model.objective.predict import predict


def gram(factor_NR: torch.Tensor) -> torch.Tensor:
    """F^T F, [R, R]."""
    return factor_NR.T @ factor_NR


def balanced_weight(num_present: int, sizes: Sequence[int], ratio: float = 1.0) -> float:
    """The `absent_weight` that makes all absent entries weigh `ratio` times all present ones.

    With weight 1, absent entries outweigh present ones by the inverse density, 10^9 and more in
    sparse relations, and the best factors are close to zero.
    """
    return ratio * num_present / prod(sizes)


def gram_loss(
    indices_nK: torch.Tensor,
    factors: Sequence[torch.Tensor],
    *,
    absent_weight: float = 1.0,
    num_present: int | None = None,
    grams: Sequence[torch.Tensor | None] | None = None,
    sizes: Sequence[int] | None = None,
) -> torch.Tensor:
    """Squared error over every entry of the tensor, ones and zeros, per present hyperedge.

        1/n ( w0 sum_all y^2 + sum_present [(1 - y)^2 - w0 y^2] ),   y the prediction

    with sum_all y^2 = 1^T (F_1^T F_1 * ... * F_K^T F_K) 1, so that no tensor is built:
    O(n K R + sum N_k R^2). With w0 = 1 this is ||X - Y||^2 / n; with less, weighted factorisation
    of implicit feedback (Hu, Koren and Volinsky, ICDM 2008), summed as by He et al. (SIGIR 2016).
    Factors of zero give 1, whatever n and N_k.

    A random batch of the present hyperedges gives an unbiased estimate: the first term is a mean
    over hyperedges, and the second one needs none.

    Args:
        indices_nK: int64, the present hyperedges or a batch of them; no hyperedge twice.
        factors: [N_k, R] each; detach those that need no gradient. If `grams` and `sizes` are
            given, the rows in `indices_nK` are enough.
        absent_weight: w0; see `balanced_weight`.
        num_present: number of all present hyperedges, if `indices_nK` is a batch.
        grams: [R, R] each; None, for all or for one: computed from the factor.
        sizes: N_k; None: the lengths of the factors.

    Raises UserError for a part of a factor without its Gram matrix.
    """
    sizes = [len(factor) for factor in factors] if sizes is None else sizes
    grams = [None] * len(factors) if grams is None else grams
    predicted_n = predict(indices_nK, factors)
    present_n = (predicted_n - 1).square() - absent_weight * predicted_n.square()
    mean_square = torch.ones((), dtype=predicted_n.dtype, device=predicted_n.device)
    for k, (given, factor_NR, size) in enumerate(zip(grams, factors, sizes, strict=True)):
        if given is None and len(factor_NR) != size:
            raise UserError(
                f"factor {k} has {len(factor_NR)} rows of {size} and no Gram matrix; "
                "give all rows, or the Gram matrix of all rows"
            )
        # a mean: the sum over the whole tensor may overflow float32
        mean_square = mean_square * ((gram(factor_NR) if given is None else given) / max(size, 1))
    count = len(indices_nK) if num_present is None else num_present
    entries = absent_weight * (prod(sizes) / max(count, 1))
    return present_n.sum() / max(len(indices_nK), 1) + entries * mean_square.sum()
