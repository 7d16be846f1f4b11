"""A modality's factor, diffused over its graph.

Legend: N items, R rank, D features, K arity.
"""

from __future__ import annotations

import torch
from torch import nn

from hvdtma.core.errors import UserError
from hypergraph.model.chebyshev import ChebyshevConv, Operator
from hypergraph.model.unseen import mean_for_unseen
from hypergraph.sparse import SparseMatrix

FIRST_SCORE = 0.1  # about what a factorisation predicts before training


def initial_scale(rank: int, arity: int) -> float:
    """The mean of a factor's entries with which K fresh factors predict about FIRST_SCORE.

    The prediction sums `rank` products of K entries. Entries of one fixed size would make it, and
    with it every gradient, vanish geometrically in K; so the size is (FIRST_SCORE / R)^(1/K), and
    neither K nor R moves the start. For a modality in relations of several arities, take the
    largest: the others then start with larger scores, which does less harm than vanishing ones.
    """
    return (FIRST_SCORE / rank) ** (1 / arity)


class Diffusion(nn.Module):
    """T steps A <- A + LSTM(Cheb(L, A)) Theta (Monti et al., NeurIPS 2017, section 3).

    As in HyperLearn (Arya et al., ACM MM 2019), each modality has its own. The LSTM's state is one
    row per item; all items share its weights. Theta starts as zero: training begins at the plain
    factorisation and departs from it where diffusion helps. O(T (q E R + N R^2)).
    """

    def __init__(self, rank: int, *, order: int, steps: int):
        super().__init__()
        self.steps = steps
        self.conv = ChebyshevConv(rank, rank, order)
        self.cell = nn.LSTMCell(rank, rank)
        self.update = nn.Linear(rank, rank, bias=False)
        nn.init.zeros_(self.update.weight)

    def forward(self, factor_NR: torch.Tensor, operator: Operator | None) -> torch.Tensor:
        """[N, R]; the operator is a `rescaled` Laplacian, None for a modality without a graph."""
        hidden_NR = memory_NR = torch.zeros_like(factor_NR)
        for _ in range(self.steps):
            around_NR = self.conv(factor_NR, operator)
            hidden_NR, memory_NR = self.cell(around_NR, (hidden_NR, memory_NR))
            factor_NR = factor_NR + self.update(hidden_NR)
        return factor_NR


class FactorNet(nn.Module):
    """The factor [N, R] of one modality: free parameters, features encoded, diffused over a graph.

    Entries start positive, uniform in [0, 2 scale]: with random signs the products of a relation
    would cancel in their sum, and every factor sit at a saddle. Features add an R-vector of about
    half their size. Initial values are drawn from PyTorch's global generator.

    Attributes:
        level: what the free parameters are multiplied by; 1 but for a net that began at one.

    Args:
        num_items: N.
        rank: R.
        scale: the mean of the initial entries, see `initial_scale`.
        order: of the Chebyshev polynomials; without a graph only order 0 is of use.
        steps: of diffusion; 0 leaves the factor as it is, and there are no parameters for it.
        feature_dim: D, if there are features.
        seen_N: bool, the items of which something can be learned: the others' rows stand at the
            mean of theirs, see `mean_for_unseen`. None: all of them.
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
        known = None if seen_N is None or seen_N.all() else seen_N[:, None]
        self.scale = scale
        self.level: torch.Tensor
        self.register_buffer("level", torch.ones(()))
        self.register_buffer("seen_N1", known, persistent=False)
        self.encoder: nn.Parameter | None = None
        if feature_dim is not None:
            bound = scale / max(feature_dim, 1) ** 0.5
            self.encoder = nn.Parameter(torch.empty(feature_dim, rank).uniform_(-bound, bound))
        self.diffusion = Diffusion(rank, order=order, steps=steps) if steps else None

    def begin_at_one(self) -> None:
        """Let the mean of the rows be one, without features and diffusion.

        The parameters stay of the size they begin with, the rows are a multiple of them: for an
        optimiser that takes steps of one size, as Adam does, they are as quick to learn as others.
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
        """[N, R].

        Args:
            operator: the `rescaled` Laplacian of the graph, if there is one.
            features_ND: given exactly if the net was made for them, entries of about unit size.
            kept_N1: bool, items whose rows are not dropped; None: all.

        Raises UserError if features are missing or of another width.
        """
        factor_NR = mean_for_unseen(self.factor, self.seen_N1, kept_N1) * self.level
        width = None if features_ND is None else features_ND.shape[1]
        if width != (None if self.encoder is None else self.encoder.shape[0]):
            expected = "none" if self.encoder is None else f"a width of {self.encoder.shape[0]}"
            found = "none" if width is None else f"a width of {width}"
            raise UserError(f"features: found {found}; this modality was made for {expected}")
        if features_ND is not None and self.encoder is not None:
            factor_NR = factor_NR + features_ND @ self.encoder
        return factor_NR if self.diffusion is None else self.diffusion(factor_NR, operator)
