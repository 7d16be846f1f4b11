"""A graph convolution network on the joined graph of all modalities, in one process.

Nodes are the items of all modalities. Edges are the graphs inside modalities, and all pairs of
items of every training hyperedge. The network has two layers H' = relu(A^ H W) of the symmetrically
normalised adjacency with loops (Kipf and Welling, ICLR 2017). Hyperedges are scored as in
HyperLearn, by the products of embeddings plus biases, with the same loss; unseen items have the
mean embedding and bias. Dropping the row of an item also drops the edges of its hyperedges, which
an unseen item does not have.

Legend: N items of all modalities, E edges, R width, B relations, n hyperedges, K arity.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import torch
from torch import nn

from hvdtma.aggregate.optimizers import make_optimizer
from hypergraph.config import HyperLearnConfig
from hypergraph.data import MultimodalHypergraph
from hypergraph.factors import Factors
from hypergraph.model.diffusion import initial_scale
from hypergraph.model.objective import gram
from hypergraph.model.objective.predict import take
from hypergraph.model.unseen import kept_rows, mean_for_unseen
from hypergraph.sparse import SparseMatrix, inverse_root
from hypergraph.train.batches import HyperedgeBatch
from hypergraph.train.device_group import features_of
from hypergraph.train.factor_view import FactorView
from hypergraph.train.losses import loss_name, make_batches, relation_loss

LAYERS = 2


class JointGCN(nn.Module):
    """The network, with its training on all relations of a hypergraph.

    Args:
        data: the training data.
        config: its width, loss, optimiser, batches and seed are used.
    """

    def __init__(self, data: MultimodalHypergraph, config: HyperLearnConfig):
        super().__init__()
        torch.manual_seed(config.seed)
        self.data, self.config = data, config
        modalities, dim = list(data.modalities.values()), config.model.dim
        sizes = data.sizes
        self.start = dict(zip(sizes, _starts(list(sizes.values())), strict=True))
        self.joined = JoinedGraph(data, self.start, sum(sizes.values()), config.dtype)
        scale = initial_scale(dim, max(r.arity for r in data.relations.values()))
        num_items, dtype = sum(sizes.values()), config.dtype
        self.embedding = nn.Parameter(torch.empty(num_items, dim).uniform_(0, 2 * scale).to(dtype))
        self.bias = nn.Parameter(torch.zeros(num_items, len(data.relations), dtype=dtype))
        self.layers = nn.ModuleList([nn.Linear(dim, dim, dtype=dtype) for _ in range(LAYERS)])
        self.features = {m.name: features_of(m, dtype) for m in modalities}
        self.seen = {name: _seen(data, name) for name in sizes}
        self.encoders = nn.ParameterDict()
        for name, features in self.features.items():
            if features is not None:
                bound = scale / features.shape[1] ** 0.5
                first = torch.empty(features.shape[1], dim).uniform_(-bound, bound)
                self.encoders[name] = nn.Parameter(first.to(dtype))
        self.means = {relation.name: relation.mean for relation in data.relations.values()}
        self.batches = make_batches(data, config, sizes)
        self.optimizer = make_optimizer(config.optimizer, self)
        self.iterations = 0

    def forward(self, iteration: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings [N, R] of all items, and their biases [N, B] in all relations.

        Args:
            iteration: the training iteration, which decides the rows to drop; None: no row is
                dropped.
        """
        parts, biases, kept_N1 = [], [], self._kept(iteration)
        for name, start in self.start.items():
            span, seen_NB = slice(start, start + len(self.seen[name])), self.seen[name]
            own_n1 = None if kept_N1 is None else kept_N1[span]
            part = mean_for_unseen(self.embedding[span], seen_NB.any(1, keepdim=True), own_n1)
            biases.append(mean_for_unseen(self.bias[span], seen_NB))
            features = self.features[name]
            if features is not None:
                part = part + features @ self.encoders[name]
            parts.append(part)
        first_NR = hidden_NR = torch.cat(parts)
        for number, layer in enumerate(self.layers):
            hidden_NR = layer(self.joined.propagated(hidden_NR, kept_N1))
            if number < LAYERS - 1:
                hidden_NR = hidden_NR.relu()
        # without the first term, the products of K embeddings would start near zero
        return first_NR + hidden_NR, torch.cat(biases)

    def _kept(self, iteration: int | None) -> torch.Tensor | None:
        """The rows that an iteration does not drop, bool [N, 1]; None: all."""
        dropout, seed = self.config.model.row_dropout, self.config.seed
        if iteration is None or not any(dropout.values()):
            return None
        kept = []
        for name, seen_NB in self.seen.items():
            drawn = kept_rows(name, len(seen_NB), dropout.get(name, 0.0), seed, iteration)
            kept.append(torch.ones(len(seen_NB), 1, dtype=torch.bool) if drawn is None else drawn)
        return torch.cat(kept)

    def iterate(self) -> float:
        """Take one step on a batch of every relation; returns the loss."""
        embedding_NR, bias_NB = self(self.iterations)
        self.iterations += 1
        losses = [self._loss(embedding_NR, bias_NB, b.next()) for b in self.batches]
        loss = torch.stack(losses).sum()
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def factors(self) -> Factors:
        """The embeddings and biases by modality."""
        embedding_NR, bias_NB = self()
        spans = {
            name: slice(start, start + self.data.modality(name).num_items)
            for name, start in self.start.items()
        }
        return Factors(
            {name: embedding_NR[span].numpy() for name, span in spans.items()},
            {
                relation.name: {
                    name: bias_NB[spans[name], number].numpy() for name in relation.modalities
                }
                for number, relation in enumerate(self.data.relations.values())
            },
        )

    def _loss(
        self, embedding_NR: torch.Tensor, bias_NB: torch.Tensor, batch: HyperedgeBatch
    ) -> torch.Tensor:
        relation = self.data.relation(batch.relation)
        needs_gram = loss_name(relation, self.config.loss) == "gram"
        none_RR = embedding_NR.new_zeros(0, 0)  # Gram matrices take time
        views = []
        for name in relation.modalities:
            start, size = self.start[name], self.data.modality(name).num_items
            gram_RR = gram(embedding_NR[start : start + size]) if needs_gram else none_RR
            at = batch.rows[name] + start
            relations = tuple(self.data.relations)
            rows, biases = take(embedding_NR, at), bias_NB.index_select(0, at)
            views.append(FactorView(rows, biases, gram_RR, size, relations))
        mean = self.means[relation.name]
        return relation_loss(relation, batch, views, self.config.loss, mean)


class JoinedGraph:
    """The normalised adjacency of all items: graphs inside modalities, and pairs of hyperedges.

    Args:
        start: modality -> the node of its first item.
        num_items: N.
    """

    def __init__(
        self,
        data: MultimodalHypergraph,
        start: dict[str, int],
        num_items: int,
        dtype: torch.dtype,
    ):
        own = torch.arange(num_items)
        parts = zip(*_within(data, start, dtype), strict=True)
        row, col, weight = (torch.cat(part) for part in parts)
        row, col = torch.cat([row, own]), torch.cat([col, own])
        weight = torch.cat([weight, torch.ones(num_items, dtype=dtype)])
        u, v = _across(data, start)
        ones, shape = torch.ones(len(u), dtype=dtype), (num_items, num_items)
        self.within = SparseMatrix.of(row, col, weight, shape, symmetric=True)
        self.across = SparseMatrix.of(u, v, ones, shape, symmetric=True)
        self.degree_N1 = self.within @ torch.ones(num_items, 1, dtype=dtype)
        row, col = torch.cat([row, u]), torch.cat([col, v])
        weight = torch.cat([weight, ones])
        root_N = inverse_root(torch.zeros(num_items, dtype=dtype).index_add(0, row, weight))
        value = root_N[row] * weight * root_N[col]
        self.whole = SparseMatrix.of(row, col, value, shape, symmetric=True)

    def propagated(
        self, hidden_NR: torch.Tensor, kept_N1: torch.Tensor | None = None
    ) -> torch.Tensor:
        """D^-1/2 (W + I) D^-1/2 H, [N, R].

        Args:
            kept_N1: bool; W has no hyperedges' edges of the other items. None: all are kept.
        """
        if kept_N1 is None:
            return self.whole @ hidden_NR
        kept_N1 = kept_N1.to(hidden_NR.dtype)
        root_N1 = inverse_root(self.degree_N1 + kept_N1 * (self.across @ kept_N1))
        scaled_NR = root_N1 * hidden_NR
        sum_NR = self.within @ scaled_NR + kept_N1 * (self.across @ (kept_N1 * scaled_NR))
        return root_N1 * sum_NR


def _within(
    data: MultimodalHypergraph, start: dict[str, int], dtype: torch.dtype
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """The edges of each graph inside a modality, in both directions: from, to, weight."""
    none = torch.zeros(0, dtype=torch.int64)
    yield none, none, none.to(dtype)
    for modality in data.modalities.values():
        if modality.intra is not None:
            u, v = (torch.from_numpy(modality.intra.edges) + start[modality.name]).T
            given = modality.intra.weights
            weight = torch.ones(len(u)) if given is None else torch.from_numpy(given)
            yield torch.cat([u, v]), torch.cat([v, u]), weight.to(dtype).repeat(2)


def _across(data: MultimodalHypergraph, start: dict[str, int]) -> torch.Tensor:
    """Edges [2, E] between all pairs of items of a hyperedge, in both directions."""
    pairs = []
    for relation in data.relations.values():
        indices_nK = torch.from_numpy(relation.indices)
        offsets = torch.tensor([start[name] for name in relation.modalities])
        for pair in permutations(range(relation.arity), 2):
            pairs.append((indices_nK + offsets)[:, list(pair)])
    return torch.cat(pairs).T


def _seen(data: MultimodalHypergraph, modality: str) -> torch.Tensor:
    """Bool [N, B]: which items have a hyperedge in each of all relations."""
    seen_NB = torch.zeros(data.modality(modality).num_items, len(data.relations), dtype=torch.bool)
    own = [list(data.relations).index(name) for name in data.relation_names[modality]]
    seen_NB[:, own] = torch.from_numpy(data.seen(modality))
    return seen_NB


def _starts(sizes: list[int]) -> list[int]:
    return [sum(sizes[:number]) for number in range(len(sizes))]
