"""A batch of links with their negatives, and the scores of both.

Legend: B links of a batch, Q negatives of their own, S distinct seeds, H width of embeddings, b
links that share K negatives, M pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from hvdtma.models.decoders import is_factored
from hvdtma.sampling.neighbourhood import Neighbourhood
from hvdtma.tasks.link_losses import LinkScores


@dataclass
class SharedSet:
    """Negatives that some positives of a batch share; see `SharedNegatives`.

    Attributes:
        row: int64 [b] positions of the positives in the batch.
        node: int64 [K] negatives, as positions among the seeds.
        linked: int64 [2, M] positions in `row` and `node` of pairs that are no negatives.
    """

    row: torch.Tensor
    node: torch.Tensor
    linked: torch.Tensor

    def map(self, move: Callable[[torch.Tensor], torch.Tensor]) -> SharedSet:
        return SharedSet(move(self.row), move(self.node), move(self.linked))


@dataclass
class LinkBatch:
    """The links of a batch, their negatives, and the neighbourhood of all their nodes.

    Attributes:
        neighbourhood: neighbourhood of the S distinct nodes (seeds).
        src, dst: int64 [B] ends of the links, as positions among the seeds.
        edge_type: int64 [B], or None.
        neg_row: int64 [Q]; negative q replaces the destination of link `neg_row[q]`,
        neg_dst: int64 [Q]; by the seed at position `neg_dst[q]`. Both are empty if links share
            negatives.
        shared: negatives that links share; empty if each has its own.
        log_draw: float32 [S], the logarithm of each seed's probability of being drawn as a
            negative; None if it is the same for all.
    """

    neighbourhood: Neighbourhood
    src: torch.Tensor
    dst: torch.Tensor
    edge_type: torch.Tensor | None
    neg_row: torch.Tensor
    neg_dst: torch.Tensor
    shared: list[SharedSet]
    log_draw: torch.Tensor | None = None

    @property
    def size(self) -> int:
        return len(self.src)

    def to(self, device: torch.device) -> LinkBatch:
        if device.type == "cpu":
            return self
        return self._map(
            self.neighbourhood.to(device), lambda values: values.to(device, non_blocking=True)
        )

    def pin_memory(self) -> LinkBatch:
        """The batch in page-locked memory, from which copies to a GPU need not wait."""
        return self._map(self.neighbourhood.pin_memory(), torch.Tensor.pin_memory)

    def _map(
        self, neighbourhood: Neighbourhood, move: Callable[[torch.Tensor], torch.Tensor]
    ) -> LinkBatch:
        def moved(values: torch.Tensor | None) -> torch.Tensor | None:
            return None if values is None else move(values)

        return LinkBatch(
            neighbourhood,
            move(self.src),
            move(self.dst),
            moved(self.edge_type),
            move(self.neg_row),
            move(self.neg_dst),
            [shared.map(move) for shared in self.shared],
            moved(self.log_draw),
        )


def score_batch(head: nn.Module, h_SH: torch.Tensor, batch: LinkBatch) -> list[LinkScores]:
    """Scores of a batch's links and of their negatives, in groups that share negatives.

    Args:
        head: a decoder. If its score factors, links and shared negatives are scored by a matrix
            product; if not, pair by pair.
        h_SH: embeddings of the seeds.
    """
    u_BH, v_BH = h_SH.index_select(0, batch.src), h_SH.index_select(0, batch.dst)
    if not batch.shared:
        positive_B = head(u_BH, v_BH, batch.edge_type)
        types_Q = None if batch.edge_type is None else batch.edge_type[batch.neg_row]
        negative_Q = head(
            u_BH.index_select(0, batch.neg_row), h_SH.index_select(0, batch.neg_dst), types_Q
        )
        return [LinkScores(positive_B, negative_Q, batch.neg_row)]
    if not is_factored(head):
        positive_B = head(u_BH, v_BH, batch.edge_type)
        return [_score_pairs(head, h_SH, positive_B, batch, shared) for shared in batch.shared]
    source_BF = head.source(u_BH, batch.edge_type)
    positive_B = (source_BF * head.destination(v_BH)).sum(-1)
    groups = []
    for shared in batch.shared:
        negative_bK = (
            source_BF.index_select(0, shared.row)
            @ head.destination(h_SH.index_select(0, shared.node)).T
        )
        groups.append(
            LinkScores(positive_B.index_select(0, shared.row), _without(negative_bK, shared.linked))
        )
    return groups


def _score_pairs(
    head: nn.Module,
    h_SH: torch.Tensor,
    positive_B: torch.Tensor,
    batch: LinkBatch,
    shared: SharedSet,
) -> LinkScores:
    shape = len(shared.row), len(shared.node)
    u_bKH = h_SH[batch.src[shared.row]][:, None].expand(*shape, -1)
    v_bKH = h_SH[shared.node].expand(*shape, -1)
    types = batch.edge_type
    if types is not None:
        types = types[shared.row][:, None].expand(shape)
    return LinkScores(
        positive_B.index_select(0, shared.row), _without(head(u_bKH, v_bKH, types), shared.linked)
    )


def _without(score_bK: torch.Tensor, linked_2M: torch.Tensor) -> torch.Tensor:
    """The scores with minus infinity for pairs that are no negatives."""
    row, column = linked_2M
    return score_bK.index_put((row, column), score_bK.new_tensor(-torch.inf))


def correct_popularity(groups: list[LinkScores], batch: LinkBatch) -> list[LinkScores]:
    """The scores minus the logarithm of each destination's probability of being drawn."""
    log_S = batch.log_draw
    assert log_S is not None
    if not batch.shared:
        ((positive_B, negative_Q, row_Q),) = groups
        return [LinkScores(positive_B - log_S[batch.dst], negative_Q - log_S[batch.neg_dst], row_Q)]
    return [
        LinkScores(positive_b - log_S[batch.dst[shared.row]], negative_bK - log_S[shared.node])
        for (positive_b, negative_bK, _), shared in zip(groups, batch.shared, strict=True)
    ]
