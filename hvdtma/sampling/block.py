"""Blocks: the bipartite graphs along which an encoder's layer passes messages.

Legend: E edges, S seeds, n sources of a block, D width, A attention heads.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch

from hvdtma.sampling import dgl_backend
from hvdtma.sampling.draws import renumber


class Block:
    """A bipartite graph from n sources to S seeds; the seeds are the first S of the sources.

    Attributes:
        indptr: int64 [S+1]; the edges of seed s are indptr[s] : indptr[s+1].
        source: int32 or int64 [E], positions among the sources.
        num_src, num_dst: n and S.
        in_degrees: int64 [S], the number of each seed's neighbours.
        edge_weight: float32 [E], or None if every edge counts 1.
        device: where messages are passed.
    """

    def __init__(
        self,
        indptr: torch.Tensor,
        source: torch.Tensor,
        num_src: int,
        edge_weight: torch.Tensor | None = None,
    ):
        self.indptr, self.source, self.edge_weight = indptr, source, edge_weight
        self.num_src, self.num_dst = num_src, len(indptr) - 1
        self.in_degrees = indptr.diff()
        self.device = indptr.device

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Block:
        """The block on a device."""
        if device == self.device:
            return self
        moved = [
            None if values is None else values.to(device, non_blocking=non_blocking)
            for values in (self.indptr, self.source, self.edge_weight)
        ]
        return Block(moved[0], moved[1], self.num_src, moved[2])  # type: ignore[arg-type]

    def pin_memory(self) -> Block:
        """The block in page-locked memory, from which copies to a GPU need not wait."""
        weight = None if self.edge_weight is None else self.edge_weight.pin_memory()
        return Block(self.indptr.pin_memory(), self.source.pin_memory(), self.num_src, weight)

    @cached_property
    def edge_source(self) -> torch.Tensor:
        """int64 [E]: the positions of the edges' sources."""
        return self.source.long()

    @cached_property
    def edge_seed(self) -> torch.Tensor:
        """int64 [E]: the positions of the edges' seeds."""
        seeds = torch.arange(self.num_dst, device=self.in_degrees.device)
        return torch.repeat_interleave(seeds, self.in_degrees, output_size=len(self.source))

    @property
    def edge_index(self) -> torch.Tensor:
        """int64 [2, E]: positions of sources and seeds, in the form of PyTorch Geometric."""
        return torch.stack([self.edge_source, self.edge_seed])

    @cached_property
    def in_weight(self) -> torch.Tensor | None:
        """float64 [S]: the sum of the weights of each seed's edges; None without weights."""
        if self.edge_weight is None:
            return None
        zeros = self.edge_weight.new_zeros(self.num_dst, dtype=torch.float64)
        return zeros.index_add_(0, self.edge_seed, self.edge_weight.double())

    def mean(self, h_nD: torch.Tensor) -> torch.Tensor:
        """(Weighted) mean of the neighbours' rows of every seed [S, D]; 0 without neighbours."""
        if self.edge_weight is not None:
            weight_E = self._relative_weight.to(h_nD.dtype)
            total_SD = self.weighted_sum(h_nD[:, None], weight_E[:, None])[:, 0]
            weight_S = weight_E.new_zeros(self.num_dst).index_add_(0, self.edge_seed, weight_E)
            return total_SD / torch.where(weight_S > 0, weight_S, 1.0)[:, None].to(h_nD.dtype)
        if self.device.type == "cpu":
            return dgl_backend.mean(self.graph, h_nD)
        return self._sum(h_nD[self.edge_source]) / self.in_degrees.clamp(min=1)[:, None]

    def softmax(self, left_nA: torch.Tensor, right_SA: torch.Tensor) -> torch.Tensor:
        """Softmax over each seed's edges of leaky_relu(left[src] + right[dst]), [E, A].

        An edge of weight w counts as w edges.
        """
        leaky = torch.nn.functional.leaky_relu
        if self.device.type == "cpu":
            logits = leaky(dgl_backend.add_ends(self.graph, left_nA, right_SA), 0.2)
            return dgl_backend.edge_softmax(self.graph, self._repeated(logits))
        logits = self._repeated(leaky(left_nA[self.edge_source] + right_SA[self.edge_seed], 0.2))
        index = self.edge_seed[:, None].expand_as(logits)
        max_SA = logits.new_full((self.num_dst, logits.shape[1]), -torch.inf)
        max_SA = max_SA.scatter_reduce(0, index, logits.detach(), "amax")
        weight = (logits - max_SA[self.edge_seed]).exp()
        return weight / self._sum(weight)[self.edge_seed]

    def weighted_sum(self, h_nAD: torch.Tensor, weight_EA: torch.Tensor) -> torch.Tensor:
        """Weighted sum of the neighbours' rows for every seed [S, A, D]."""
        if self.device.type == "cpu":
            return dgl_backend.weighted_sum(self.graph, h_nAD, weight_EA)
        return self._sum(h_nAD[self.edge_source] * weight_EA[..., None])

    @cached_property
    def graph(self) -> Any:
        """The block as a DGL graph."""
        return dgl_backend.bipartite_graph(self.indptr, self.source, self.num_src)

    @cached_property
    def _relative_weight(self) -> torch.Tensor:
        """Weights relative to the largest one of each seed, float32 [E]: equal ones are 1."""
        assert self.edge_weight is not None
        largest_S = self.edge_weight.new_zeros(self.num_dst)
        largest_S.scatter_reduce_(0, self.edge_seed, self.edge_weight, "amax")
        return self.edge_weight / largest_S[self.edge_seed]

    def _repeated(self, logits_EA: torch.Tensor) -> torch.Tensor:
        """Logits with which a softmax counts an edge of weight w as w edges."""
        if self.edge_weight is None:
            return logits_EA
        return logits_EA + self._relative_weight.log().to(logits_EA.dtype)[:, None]

    def _sum(self, values_E: torch.Tensor) -> torch.Tensor:
        zeros = values_E.new_zeros(self.num_dst, *values_E.shape[1:])
        return zeros.index_add_(0, self.edge_seed, values_E)


def block_of_edges(
    src_E: torch.Tensor,
    dst_E: torch.Tensor,
    num_src: int,
    num_dst: int,
    weight_E: torch.Tensor | None = None,
) -> Block:
    """A block from edges, given as int64 positions among its sources and its seeds."""
    order = torch.argsort(dst_E, stable=True)
    indptr = torch.zeros(num_dst + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(dst_E, minlength=num_dst), 0, out=indptr[1:])
    return Block(indptr, src_E[order], num_src, None if weight_E is None else weight_E[order])


def block_between(
    src_E: torch.Tensor,
    dst_E: torch.Tensor,
    seeds_S: torch.Tensor,
    weight_E: torch.Tensor | None = None,
) -> tuple[Block, torch.Tensor]:
    """A block from edges into distinct seeds, and its source nodes [n], which begin with the seeds.

    Args:
        src_E: int64 node numbers.
        dst_E: int64 positions among the seeds.
        seeds_S: int64 node numbers.
        weight_E: float32 weights of the edges; None: every edge counts 1.
    """
    nodes_n, local_E = renumber(seeds_S.numpy(), src_E.numpy())
    local = torch.from_numpy(local_E)
    block = block_of_edges(local, dst_E, len(nodes_n), len(seeds_S), weight_E)
    return block, torch.from_numpy(nodes_n)


def block_of_rows(
    indptr: torch.Tensor,
    indices: torch.Tensor,
    first_row: int,
    weight_E: torch.Tensor | None = None,
) -> tuple[Block, torch.Tensor]:
    """A block from all in-edges of consecutive nodes, and its source nodes [n].

    Args:
        indptr: int64 [S+1], starts at 0.
        indices: int64 [E] node numbers.
        first_row: node number of row 0.
        weight_E: float32 weights of the edges; None: every edge counts 1.
    """
    seeds = np.arange(first_row, first_row + len(indptr) - 1)
    nodes_n, local_E = renumber(seeds, indices.numpy())
    return Block(indptr, torch.from_numpy(local_E), len(nodes_n), weight_E), torch.from_numpy(
        nodes_n
    )
