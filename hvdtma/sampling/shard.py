"""The shard: the subgraph that a trainer's blocks induce, with local node numbers.

Legend: n nodes of the shard, N nodes of the store, e edges of the shard, D features.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.graph.store import GraphStore
from hvdtma.sampling.dgl_backend import graph_from_csc
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.sampling.induced import degrees, induced_graph
from hvdtma.sampling.reader import BlockReader, Range

NODES_AT_ONCE = 1 << 20  # of a list of labelled ones


@dataclass
class Shard:
    """What one trainer may see, in memory.

    Attributes:
        nodes: int64 [n] the store's number of each local node, ascending within a block.
        csc: in-edges between them, locally numbered.
        feat: torch float16 or float32 [n, D].
        hop: the first hop over the whole training graph, or None.
        num_own: local nodes below this are the trainer's own; those after it are other trainers'
            nodes, without edges, that only serve as global negatives.
        label: int64 [n], -1 where unknown, or None.
        train_nodes: int64 local numbers of the labelled training nodes.
        assigned_edges: edges into these nodes from all that the trainer was assigned: those of `csc`, and
            those that begin in another resident set.
    """

    nodes: np.ndarray
    csc: CSC
    feat: torch.Tensor
    hop: FirstHop | None
    num_own: int
    label: torch.Tensor | None
    train_nodes: np.ndarray
    assigned_edges: int

    @property
    def num_nodes(self) -> int:
        return len(self.nodes)

    @property
    def num_edges(self) -> int:
        return self.csc.num_edges

    @property
    def num_train_nodes(self) -> int:
        return len(self.train_nodes)

    @cached_property
    def graph(self) -> Any:
        """The shard as a DGL graph, sharing the memory of its sources where dtypes allow."""
        dtype = index_dtype(max(self.num_nodes, self.csc.num_edges))  # one for both, DGL wants
        return graph_from_csc(
            torch.from_numpy(self.csc.indptr.astype(dtype)),
            torch.from_numpy(self.csc.indices.astype(dtype, copy=False)),
        )

    def features(self, nodes: torch.Tensor) -> torch.Tensor:
        """float32 [Q, D] of local nodes."""
        return self.feat[nodes].float()

    def first_hop(self, nodes: torch.Tensor) -> FirstHop | None:
        """The first hop of local nodes, or None."""
        if self.hop is None:
            return None
        return FirstHop(self.hop.mean[nodes].float(), self.hop.degree[nodes])


def load_shard(
    store: GraphStore | BlockReader,
    blocks: np.ndarray,
    *,
    assigned: np.ndarray | None = None,
    first_hop: bool = False,
    labels: bool = False,
    remote: bool = False,
) -> Shard:
    """Read the shard of `blocks` (int64, ascending), whole ranges in id order.

    Args:
        store: or a reader of it, which counts.
        assigned: all blocks assigned to the trainer, where `blocks` are a resident set of them.
        first_hop: read the stored first hop too.
        labels: read labels, and which nodes are trained on.
        remote: read the features of all other nodes as well, for global negatives.
    """
    reader = store if isinstance(store, BlockReader) else BlockReader(store)
    store = reader.store
    own = _ranges(store, blocks)
    others = _ranges(store, np.setdiff1d(np.arange(store.num_blocks), blocks)) if remote else []
    everything = sorted(own + others)
    nodes = _nodes(own + others)

    def rows(name: str) -> torch.Tensor:
        values = reader.rows(name, everything)
        return torch.from_numpy(values if not remote else values[nodes])

    with ThreadPoolExecutor(1) as beside:  # edges want the processor, rows the disk
        names = ["feat", *["first_hop"] * first_hop, *["label"] * labels]
        reading = {name: beside.submit(rows, name) for name in names}
        csc, degree_n, assigned_edges = induced_graph(reader, blocks, own, assigned)
        found = {name: future.result() for name, future in reading.items()}
    if remote:
        csc.indptr = np.append(csc.indptr, np.full(len(nodes) - csc.num_nodes, csc.num_edges))
        degree_n = np.append(degree_n, degrees(reader, others)[0])
    hop = FirstHop(found["first_hop"], torch.from_numpy(degree_n).float()) if first_hop else None
    return Shard(
        nodes=nodes,
        csc=csc,
        feat=found["feat"],
        hop=hop,
        num_own=sum(stop - start for start, stop in own),
        label=found.get("label"),
        train_nodes=_train_nodes(reader, blocks if labels else blocks[:0]),
        assigned_edges=assigned_edges,
    )


def _ranges(store: GraphStore, blocks: np.ndarray) -> list[Range]:
    offsets = store.block_offsets.tolist()
    return [(offsets[block], offsets[block + 1]) for block in blocks]


def _nodes(ranges: list[Range]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*piece) for piece in ranges)])


def _train_nodes(reader: BlockReader, blocks: np.ndarray) -> np.ndarray:
    """Where the training nodes stand among the blocks' own, int64 ascending; read in pieces."""
    store, name = reader.store, "split/train/node"
    if name not in store or not len(blocks):
        return np.zeros(0, np.int64)
    starts = store.block_offsets[:-1]
    shift_B = np.zeros(store.num_blocks, np.int64)  # from a node's number to its place
    sizes = np.diff(store.block_offsets)[blocks]
    shift_B[blocks] = starts[blocks] - np.concatenate([[0], np.cumsum(sizes)[:-1]])
    own_B = np.zeros(store.num_blocks, bool)
    own_B[blocks] = True
    places = [np.zeros(0, np.int64)]
    num_rows = store.array(name).shape[0]
    for first in range(0, num_rows, NODES_AT_ONCE):
        nodes = reader.read(name, first, min(first + NODES_AT_ONCE, num_rows))
        block = np.searchsorted(starts, nodes, side="right") - 1
        own = own_B[block]
        places.append(nodes[own] - shift_B[block[own]])
    return np.concatenate(places)
