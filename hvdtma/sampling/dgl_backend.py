"""The only module that uses DGL: neighbour sampling, blocks and message passing.

DGL is no longer maintained, so no other module depends on it. Its wheels for Python 3.11
do not support GPUs; a block on a GPU passes messages with PyTorch operations instead.

Legend: N nodes, E edges, S seeds, n sources of a block, D width, A attention heads.
"""

from __future__ import annotations

import os
import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch

os.environ.setdefault("DGLBACKEND", "pytorch")  # else DGL writes a file into the home folder
if sys.version_info >= (3, 12):
    # DGL 2.1 is the only version for Python 3.12. Its graphbolt is built for PyTorch 2.2 and cannot
    # be loaded by later versions. hvdtma does not need it.
    sys.modules.setdefault("dgl.graphbolt", types.ModuleType("dgl.graphbolt"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # DGL 1.1 warns about its own imports
    import dgl


class Block:
    """A bipartite graph from n sources to S seeds; the seeds are the first S of the sources.

    Attributes:
        in_degrees: int [S], the number of each seed's neighbours.
        edge_weight: float32 [E], or None if every edge counts 1; in the order of `edge_index`.
    """

    def __init__(
        self,
        graph: dgl.DGLGraph,
        device: torch.device | None = None,
        edge_weight: torch.Tensor | None = None,
    ):
        self.graph = graph
        self.device = device or torch.device("cpu")
        self.edge_weight = None if edge_weight is None else edge_weight.to(self.device)
        self.num_src: int = graph.num_src_nodes()
        self.num_dst: int = graph.num_dst_nodes()
        self.in_degrees = graph.in_degrees().to(self.device)
        if self.device.type != "cpu":
            self.src_E, self.dst_E = (e.long().to(self.device) for e in graph.edges())

    def to(self, device: torch.device) -> Block:
        return self if device == self.device else Block(self.graph, device, self.edge_weight)

    @property
    def edge_index(self) -> torch.Tensor:
        """int64 [2, E]: positions of sources and seeds, in the form of PyTorch Geometric."""
        if self.device.type != "cpu":
            return torch.stack([self.src_E, self.dst_E])
        return torch.stack([end.long() for end in self.graph.edges()])

    @cached_property
    def in_weight(self) -> torch.Tensor | None:
        """float64 [S]: the sum of the weights of each seed's edges; None without weights."""
        if self.edge_weight is None:
            return None
        zeros = self.edge_weight.new_zeros(self.num_dst, dtype=torch.float64)
        return zeros.index_add_(0, self.edge_index[1], self.edge_weight.double())

    def mean(self, h_nD: torch.Tensor) -> torch.Tensor:
        """(Weighted) mean of the neighbours' rows of every seed [S, D]; 0 without neighbours."""
        if self.edge_weight is not None:
            weight_E = self._relative_weight.to(h_nD.dtype)
            total_SD = self.weighted_sum(h_nD[:, None], weight_E[:, None])[:, 0]
            weight_S = weight_E.new_zeros(self.num_dst).index_add_(0, self.edge_index[1], weight_E)
            return total_SD / torch.where(weight_S > 0, weight_S, 1.0)[:, None].to(h_nD.dtype)
        if self.device.type == "cpu":
            return dgl.ops.copy_u_mean(self.graph, h_nD)
        return self._sum(h_nD[self.src_E]) / self.in_degrees.clamp(min=1)[:, None]

    def softmax(self, left_nA: torch.Tensor, right_SA: torch.Tensor) -> torch.Tensor:
        """Softmax over each seed's edges of leaky_relu(left[src] + right[dst]), [E, A].

        An edge of weight w counts as w edges.
        """
        leaky = torch.nn.functional.leaky_relu
        if self.device.type == "cpu":
            logits = leaky(dgl.ops.u_add_v(self.graph, left_nA, right_SA), 0.2)
            return dgl.ops.edge_softmax(self.graph, self._repeated(logits))
        logits = self._repeated(leaky(left_nA[self.src_E] + right_SA[self.dst_E], 0.2))
        index = self.dst_E[:, None].expand_as(logits)
        max_SA = logits.new_full((self.num_dst, logits.shape[1]), -torch.inf)
        max_SA = max_SA.scatter_reduce(0, index, logits.detach(), "amax")
        weight = (logits - max_SA[self.dst_E]).exp()
        return weight / self._sum(weight)[self.dst_E]

    def weighted_sum(self, h_nAD: torch.Tensor, weight_EA: torch.Tensor) -> torch.Tensor:
        """Weighted sum of the neighbours' rows for every seed [S, A, D]."""
        if self.device.type == "cpu":
            return dgl.ops.u_mul_e_sum(self.graph, h_nAD, weight_EA[..., None])
        return self._sum(h_nAD[self.src_E] * weight_EA[..., None])

    @cached_property
    def _relative_weight(self) -> torch.Tensor:
        """Weights relative to the largest one of each seed, float32 [E]: equal ones are 1."""
        assert self.edge_weight is not None
        dst_E = self.edge_index[1]
        largest_S = self.edge_weight.new_zeros(self.num_dst)
        largest_S.scatter_reduce_(0, dst_E, self.edge_weight, "amax")
        return self.edge_weight / largest_S[dst_E]

    def _repeated(self, logits_EA: torch.Tensor) -> torch.Tensor:
        """Logits with which a softmax counts an edge of weight w as w edges."""
        if self.edge_weight is None:
            return logits_EA
        return logits_EA + self._relative_weight.log().to(logits_EA.dtype)[:, None]

    def _sum(self, values_E: torch.Tensor) -> torch.Tensor:
        zeros = values_E.new_zeros(self.num_dst, *values_E.shape[1:])
        return zeros.index_add_(0, self.dst_E, values_E)


def graph_from_csc(indptr: torch.Tensor, indices: torch.Tensor) -> dgl.DGLGraph:
    """A graph of N nodes from its in-edges: indptr [N+1] and indices [E] of the same dtype."""
    return dgl.graph(("csc", (indptr, indices, [])), num_nodes=len(indptr) - 1)


def _sampling_thread() -> ThreadPoolExecutor:
    """An executor of one thread, in which DGL and PyTorch use no other threads."""

    def set_one_thread() -> None:
        torch.get_num_threads()  # PyTorch's lazy start would undo the next line
        torch.set_num_threads(1)

    num_threads = torch.get_num_threads()
    executor = ThreadPoolExecutor(1, initializer=set_one_thread)
    executor.submit(int).result()  # starts the thread
    torch.set_num_threads(num_threads)  # new threads inherit the number that was set last
    return executor


# DGL's random numbers depend on the order in which threads first drew numbers, and on how many
# threads share the work. With one thread for all sampling, a sample is a function of its seed in
# any thread of any process.
_SAMPLER = _sampling_thread()


def sample_blocks(
    graph: dgl.DGLGraph,
    seeds_S: torch.Tensor,
    fanouts: list[int],
    random_seed: int,
    excluded_keys: torch.Tensor | None = None,
) -> tuple[list[Block], torch.Tensor]:
    """Sample the neighbourhood of distinct seeds: blocks, input layer first, and input nodes [n].

    Args:
        fanouts: neighbours per node for each layer, input layer first; -1 takes all.
        random_seed: below 2^31; determines the sample.
        excluded_keys: sorted keys (`pair_keys`) of pairs whose edges are left out.
    """
    return _SAMPLER.submit(_sample, graph, seeds_S, fanouts, random_seed, excluded_keys).result()


def _sample(
    graph: dgl.DGLGraph,
    seeds_S: torch.Tensor,
    fanouts: list[int],
    random_seed: int,
    excluded_keys: torch.Tensor | None,
) -> tuple[list[Block], torch.Tensor]:
    dgl.seed(random_seed)
    nodes = seeds_S
    blocks: list[Block] = []
    for fanout in reversed(fanouts):
        sampled = dgl.sampling.sample_neighbors(
            graph, nodes, fanout, copy_ndata=False, copy_edata=False
        )
        if excluded_keys is not None and len(excluded_keys):
            sampled.remove_edges(_edges_between(sampled, excluded_keys))
        block = dgl.to_block(sampled, nodes)
        nodes = block.srcdata[dgl.NID]
        blocks.insert(0, Block(block))
    return blocks, nodes


def _edges_between(graph: dgl.DGLGraph, keys: torch.Tensor) -> torch.Tensor:
    """Ids of the edges between pairs with the given sorted keys, in either direction."""
    src_E, dst_E = graph.edges()
    key_E = pair_keys(src_E, dst_E, graph.num_nodes())
    nearest_E = torch.searchsorted(keys, key_E).clamp_(max=len(keys) - 1)
    return torch.nonzero(keys[nearest_E] == key_E).view(-1).to(graph.idtype)


def pair_keys(src_E: torch.Tensor, dst_E: torch.Tensor, num_nodes: int) -> torch.Tensor:
    """One int64 per pair of nodes, the same for both directions."""
    src_E, dst_E = src_E.long(), dst_E.long()
    return torch.minimum(src_E, dst_E) * num_nodes + torch.maximum(src_E, dst_E)


def block_of_edges(
    src_E: torch.Tensor,
    dst_E: torch.Tensor,
    num_src: int,
    num_dst: int,
    weight_E: torch.Tensor | None = None,
) -> Block:
    """A block from edges, given as int64 positions among its sources and its seeds."""
    graph = dgl.create_block((src_E, dst_E), num_src_nodes=num_src, num_dst_nodes=num_dst)
    return Block(graph, edge_weight=weight_E)


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
    others = torch.unique(src_E[~torch.isin(src_E, seeds_S)])
    sources_n = torch.cat([seeds_S, others])
    ascending, order = torch.sort(sources_n)
    local_E = order[torch.searchsorted(ascending, src_E)]
    return block_of_edges(local_E, dst_E, len(sources_n), len(seeds_S), weight_E), sources_n


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
    num_rows = len(indptr) - 1
    inside = (indices >= first_row) & (indices < first_row + num_rows)
    others = torch.unique(indices[~inside])
    local_E = torch.where(
        inside, indices - first_row, torch.searchsorted(others, indices) + num_rows
    )
    sources_n = torch.cat([torch.arange(first_row, first_row + num_rows), others])
    edge_ids = torch.arange(len(local_E))  # without ids, DGL 1.1 fails in some sums over edges
    block = dgl.create_block(
        ("csc", (indptr, local_E, edge_ids)), num_src_nodes=len(sources_n), num_dst_nodes=num_rows
    )
    return Block(block, edge_weight=weight_E), sources_n
