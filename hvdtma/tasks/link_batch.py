"""A batch of links with their negatives, and the scores of both.

Legend: B links of a batch, Q negatives of their own, S distinct seeds, H width of embeddings, b
links that share K negatives, M pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from hvdtma.models.decoders import FactoredDecoder, is_factored
from hvdtma.sampling.neighbourhood import Neighbourhood
from hvdtma.tasks.link_losses import LinkScores


@dataclass
class SharedSet:
    """Negatives that some positives of a batch share; see `SharedNegatives`.

    Attributes:
        row: int64 [b] positions of the positives in the batch.
        node: int64 [K] negatives, as positions among the seeds.
        linked: int64 [2, M] positions in `row` and `node` of pairs that are no negatives.
        of_sources: whether the negatives replace sources; destinations otherwise.
        log_drawn: float32 [K], see `hvdtma.tasks.popularity`; None without the correction.
    """

    row: torch.Tensor
    node: torch.Tensor
    linked: torch.Tensor
    of_sources: bool = False
    log_drawn: torch.Tensor | None = None

    def map(self, move: Callable[[torch.Tensor], torch.Tensor]) -> SharedSet:
        log_drawn = None if self.log_drawn is None else move(self.log_drawn)
        return SharedSet(
            move(self.row), move(self.node), move(self.linked), self.of_sources, log_drawn
        )


@dataclass
class LinkBatch:
    """The links of a batch, their negatives, and the neighbourhood of all their nodes.

    Attributes:
        neighbourhood: neighbourhood of the S distinct nodes (seeds).
        src, dst: int64 [B] ends of the links, as positions among the seeds.
        edge_type: int64 [B], or None.
        neg_row: int64 [Q]; negative q replaces an end of link `neg_row[q]`,
        neg_node: int64 [Q]; by the seed at position `neg_node[q]`. Both are empty if links share
            negatives.
        turned: bool [B], whether the source of each link is replaced, not its destination.
        shared: negatives that links share; empty if each has its own.
        log_replaced: float32 [B], of each link's replaced end,
        log_negative: and float32 [Q], of each negative: see `hvdtma.tasks.popularity`; None
            without the correction.
    """

    neighbourhood: Neighbourhood
    src: torch.Tensor
    dst: torch.Tensor
    edge_type: torch.Tensor | None
    neg_row: torch.Tensor
    neg_node: torch.Tensor
    turned: torch.Tensor
    shared: list[SharedSet]
    log_replaced: torch.Tensor | None = None
    log_negative: torch.Tensor | None = None

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
            move(self.neg_node),
            move(self.turned),
            [shared.map(move) for shared in self.shared],
            moved(self.log_replaced),
            moved(self.log_negative),
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
        row = batch.neg_row
        turned_Q1 = batch.turned[row][:, None]
        node_QH = h_SH.index_select(0, batch.neg_node)
        u_QH = torch.where(turned_Q1, node_QH, u_BH.index_select(0, row))
        v_QH = torch.where(turned_Q1, v_BH.index_select(0, row), node_QH)
        types_Q = None if batch.edge_type is None else batch.edge_type[row]
        return [LinkScores(head(u_BH, v_BH, batch.edge_type), head(u_QH, v_QH, types_Q), row)]
    if not is_factored(head):
        positive_B = head(u_BH, v_BH, batch.edge_type)
        return [_score_pairs(head, h_SH, positive_B, batch, shared) for shared in batch.shared]
    source_BF, destination_BF = head.source(u_BH, batch.edge_type), head.destination(v_BH)
    positive_B = (source_BF * destination_BF).sum(-1)
    groups = []
    for shared in batch.shared:
        node_KH = h_SH.index_select(0, shared.node)
        if shared.of_sources:
            kept_bF = destination_BF.index_select(0, shared.row)
            negative_bK = _products_with_sources(head, kept_bF, node_KH, batch, shared.row)
        else:
            negative_bK = source_BF.index_select(0, shared.row) @ head.destination(node_KH).T
        positive_b = positive_B.index_select(0, shared.row)
        groups.append(LinkScores(positive_b, _without(negative_bK, shared.linked)))
    return groups


def _products_with_sources(
    head: FactoredDecoder,
    destination_bF: torch.Tensor,
    node_KH: torch.Tensor,
    batch: LinkBatch,
    row_b: torch.Tensor,
) -> torch.Tensor:
    """Scores [b, K] of nodes as sources of links, whose types choose the nodes' vectors."""
    if batch.edge_type is None:
        return destination_bF @ head.source(node_KH, None).T
    type_b = batch.edge_type[row_b]
    score_bK = destination_bF.new_zeros(len(row_b), len(node_KH))
    for kind in type_b.unique():
        of_kind = torch.nonzero(type_b == kind).view(-1)
        source_KF = head.source(node_KH, kind.expand(len(node_KH)))
        product = destination_bF.index_select(0, of_kind) @ source_KF.T
        score_bK = score_bK.index_copy(0, of_kind, product.to(score_bK.dtype))
    return score_bK


def _score_pairs(
    head: nn.Module,
    h_SH: torch.Tensor,
    positive_B: torch.Tensor,
    batch: LinkBatch,
    shared: SharedSet,
) -> LinkScores:
    shape = len(shared.row), len(shared.node)
    kept = batch.dst if shared.of_sources else batch.src
    kept_bKH = h_SH[kept[shared.row]][:, None].expand(*shape, -1)
    node_bKH = h_SH[shared.node].expand(*shape, -1)
    ends = (node_bKH, kept_bKH) if shared.of_sources else (kept_bKH, node_bKH)
    types = batch.edge_type
    if types is not None:
        types = types[shared.row][:, None].expand(shape)
    return LinkScores(
        positive_B.index_select(0, shared.row), _without(head(*ends, types), shared.linked)
    )


def _without(score_bK: torch.Tensor, linked_2M: torch.Tensor) -> torch.Tensor:
    """The scores with minus infinity for pairs that are no negatives."""
    row, column = linked_2M
    return score_bK.index_put((row, column), score_bK.new_tensor(-torch.inf))
