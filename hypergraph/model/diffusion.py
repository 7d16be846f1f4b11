"""The factor of a modality, diffused over its graph.

Legend: N items, R rank, D features, K arity.
"""

from __future__ import annotations

import torch
from torch import nn

from hvdtma.core.errors import UserError
from hypergraph.model.chebyshev import ChebyshevConv, Operator
from hypergraph.model.unseen import mean_for_unseen
from hypergraph.sparse import SparseMatrix

FIRST_SCORE = 0.1  # approximate prediction before training


def initial_scale(rank: int, arity: int) -> float:
    """The mean of the entries with which K initial factors predict about FIRST_SCORE.

    A prediction is a sum of R products of K entries. With entries of a fixed size, it and every
    gradient would vanish geometrically in K. With the size (FIRST_SCORE / R)^(1/K), the initial
    prediction depends on neither K nor R. For a modality in relations of several arities, take the
    largest one: other relations then start with larger scores, which does less harm than vanishing
    ones.
    """
    return (FIRST_SCORE / rank) ** (1 / arity)


class Diffusion(nn.Module):
    """T steps A <- A + LSTM(Cheb(L, A)) Theta (Monti et al., NeurIPS 2017, section 3).

    As in HyperLearn (Arya et al., ACM MM 2019), each modality has its own. The state of the LSTM
    has a row per item; all items share its weights. Theta starts at zero: training starts from the
    plain factorisation and adds diffusion where it helps. O(T (q E R + N R^2)).
    """

    def __init__(self, rank: int, *, order: int, steps: int):
        super().__init__()
        self.steps = steps
        self.conv = ChebyshevConv(rank, rank, order)
        self.cell = nn.LSTMCell(rank, rank)
        self.update = nn.Linear(rank, rank, bias=False)
        nn.init.zeros_(self.update.weight)

    def forward(self, factor_NR: torch.Tensor, operator: Operator | None) -> torch.Tensor:
        """The diffused factor [N, R].

        Args:
            operator: the `rescaled` Laplacian of the graph; None without a graph.
        """
        hidden_NR = memory_NR = torch.zeros_like(factor_NR)
        for _ in range(self.steps):
            hops_NR = self.conv(factor_NR, operator)
            hidden_NR, memory_NR = self.cell(hops_NR, (hidden_NR, memory_NR))
            factor_NR = factor_NR + self.update(hidden_NR)
        return factor_NR


class FactorNet(nn.Module):
    """The factor [N, R] of a modality: parameters plus encoded features, diffused over a graph.

    Entries start positive, uniform in [0, 2 scale]: with random signs, the products of a relation
    would cancel in the sum, and every factor would start at a saddle point. Encoded features start
    at about half the size. Initial values are drawn from PyTorch's global generator.

    Attributes:
        level: factor on the free parameters; 1 unless the net was initialised at one.

    Args:
        num_items: N.
        rank: R.
        scale: the mean of the initial entries, see `initial_scale`.
        order: order of the Chebyshev polynomials; 0 without a graph.
        steps: diffusion steps; 0: no diffusion, and no parameters for it.
        feature_dim: D; None without features.
        seen_N: bool, the items with hyperedges; the rows of other items are the mean of these, see
            `mean_for_unseen`. None: all items.
    """

    def __init__(
        self,
        num_items: int,
        rank: int,
        *,
        scale: float,
        order: int,
        steps: int,
        feature_dim: int | None = None,
        seen_N: torch.Tensor | None = None,
    ):
        super().__init__()
        self.factor = nn.Parameter(torch.empty(num_items, rank).uniform_(0, 2 * scale))
        self.seen_N1: torch.Tensor | None
        seen_N1 = None if seen_N is None or seen_N.all() else seen_N[:, None]
        self.scale = scale
        self.level: torch.Tensor
        self.register_buffer("level", torch.ones(()))
        self.register_buffer("seen_N1", seen_N1, persistent=False)
        self.encoder: nn.Parameter | None = None
        if feature_dim is not None:
            bound = scale / max(feature_dim, 1) ** 0.5
            self.encoder = nn.Parameter(torch.empty(feature_dim, rank).uniform_(-bound, bound))
        self.diffusion = Diffusion(rank, order=order, steps=steps) if steps else None

    def init_at_one(self) -> None:
        """Set the mean of the rows, before features and diffusion, to one.

        The parameters keep their initial size and are multiplied by `level`: with an optimiser
        whose steps have a fixed size, such as Adam, the rows then learn as fast as others.
        """
        with torch.no_grad():
            rows_NR = self.factor * self.level
            self.level.fill_(1 / self.scale)
            self.factor.copy_((1 + rows_NR - rows_NR.mean()) * self.scale)

    def forward(
        self,
        operator: Operator | None = None,
        features_ND: SparseMatrix | torch.Tensor | None = None,
        kept_N1: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The factor [N, R].

        Args:
            operator: the `rescaled` Laplacian of the graph; None without a graph.
            features_ND: features with entries of about unit size; None if the net was made without.
            kept_N1: bool, the rows that are not dropped; None: all.

        Raises UserError for features of another width than the net was made for.
        """
        factor_NR = mean_for_unseen(self.factor, self.seen_N1, kept_N1) * self.level
        width = None if features_ND is None else features_ND.shape[1]
        if width != (None if self.encoder is None else self.encoder.shape[0]):
            expected = "no features" if self.encoder is None else f"width {self.encoder.shape[0]}"
            found = "no features" if width is None else f"features of width {width}"
            raise UserError(f"the net got {found}; it was made for {expected}")
        if features_ND is not None and self.encoder is not None:
            factor_NR = factor_NR + features_ND @ self.encoder
        return factor_NR if self.diffusion is None else self.diffusion(factor_NR, operator)
