"""The first hop of a batch by one edge type: rows only of nodes that have neighbours of the type.

Legend: n input nodes of the destination type, m of them with neighbours, D features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from hvdtma.sampling.first_hop import FirstHop, subtract_edges


class TypedHop(NamedTuple):
    """The neighbourhood of nodes in the whole training graph, by one edge type.

    Attributes:
        row: int64 [m], the positions of the nodes among the n input nodes, ascending.
        mean: float32 [m, D] means of the features of all their neighbours of the type.
        degree: float [m], the number of these neighbours; 0 if all are left out as a batch's own.
    """

    row: torch.Tensor
    mean: torch.Tensor
    degree: torch.Tensor

    def without_edges(
        self,
        x_nD: torch.Tensor,
        src_Q: torch.Tensor,
        dst_Q: torch.Tensor,
        count_Q: torch.Tensor,
        rounding: float,
    ) -> TypedHop:
        """The first hop without some edges; see `subtract_edges`. dst_Q are input nodes."""
        place_Q = torch.searchsorted(self.row, dst_Q)
        hop = FirstHop(self.mean, self.degree)
        left = subtract_edges(hop, x_nD, src_Q, place_Q, count_Q, rounding=rounding)
        return TypedHop(self.row, left.mean, left.degree)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> TypedHop:
        """The first hop on a device."""
        return TypedHop._make(field.to(device, non_blocking=non_blocking) for field in self)

    def pin_memory(self) -> TypedHop:
        """The first hop in page-locked memory, from which copies to a GPU need not wait."""
        return TypedHop._make(field.pin_memory() for field in self)
