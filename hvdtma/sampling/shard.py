"""The shard: the subgraph that a trainer's blocks induce, with local node numbers.

Legend: n nodes of the shard, N nodes of the store, e edges of the shard, D features.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from hvdtma.graph.candidates import Candidates
from hvdtma.graph.csc import CSC
from hvdtma.graph.store import GraphStore
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.sampling.induced import degrees, induced_graph
from hvdtma.sampling.reader import BlockReader, Range

NODES_AT_ONCE = 1 << 20  # training nodes per read


@dataclass
class Shard:
    """The subgraph of one trainer, or one resident set of it, in memory.

    Attributes:
        nodes: int64 [n] store number of each local node, ascending within a block.
        csc: in-edges between these nodes, with local numbers.
        feat: torch float16 or float32 [n, D].
        hop: the first hop over the whole training graph, or None.
        num_own: local nodes below this number are in the trainer's blocks. Nodes from this number
            on belong to other trainers; they have no edges and serve as global negatives.
        label: the labels of the nodes as the store has them (`hvdtma.graph.targets`); or None.
        train_nodes: int64 local numbers of the labelled training nodes.
        assigned_edges: number of edges into these nodes from any block assigned to the trainer:
            the edges of `csc`, and edges that begin in another resident set.
        candidates: the nodes that negatives are drawn from, in local numbers; None: all nodes.
    """

    nodes: np.ndarray
    csc: CSC
    feat: torch.Tensor
    hop: FirstHop | None
    num_own: int
    label: torch.Tensor | None
    train_nodes: np.ndarray
    assigned_edges: int
    candidates: Candidates | None = None

    @property
    def num_nodes(self) -> int:
        return len(self.nodes)

    @property
    def num_edges(self) -> int:
        return self.csc.num_edges

    @property
    def num_train_nodes(self) -> int:
        return len(self.train_nodes)

    def features(self, nodes: torch.Tensor) -> torch.Tensor:
        """float32 [Q, D] of local nodes."""
        return self.feat.index_select(0, nodes).float()

    def first_hop(self, nodes: torch.Tensor) -> FirstHop | None:
        """The first hop of local nodes, or None."""
        if self.hop is None:
            return None
        return self.hop.take(nodes)


def load_shard(
    store: GraphStore | BlockReader,
    blocks: np.ndarray,
    *,
    assigned: np.ndarray | None = None,
    first_hop: bool = False,
    labels: bool = False,
    remote: bool = False,
) -> Shard:
    """Read the shard of `blocks` (int64, ascending).

    Args:
        store: the store, or a reader of it that counts bytes and seconds.
        assigned: all blocks assigned to the trainer, if `blocks` are one resident set of them.
        first_hop: also read the stored first hop.
        labels: also read labels and the list of training nodes.
        remote: also read the features of all other nodes, for global negatives.
    """
    reader = store if isinstance(store, BlockReader) else BlockReader(store)
    store = reader.store
    own_ranges = _ranges(store, blocks)
    other_blocks = np.setdiff1d(np.arange(store.num_blocks), blocks) if remote else blocks[:0]
    other_ranges = _ranges(store, other_blocks)
    all_ranges = sorted(own_ranges + other_ranges)
    nodes = _nodes(own_ranges + other_ranges)

    def read_rows(name: str) -> torch.Tensor:
        values = reader.rows(name, all_ranges)
        return torch.from_numpy(values if not remote else values[nodes])

    with ThreadPoolExecutor(1) as thread:  # edges keep the processor busy, rows keep the disk busy
        names = [*["feat"] * (store.schema is None), *["first_hop"] * first_hop]
        names += ["label"] * labels
        names += ["in_weight"] * (first_hop and store.weighted)
        names += ["candidates"] * ("candidates" in store)
        futures = {name: thread.submit(read_rows, name) for name in names}
        csc, degree_n, assigned_edges = induced_graph(reader, blocks, own_ranges, assigned)
        arrays = {name: future.result() for name, future in futures.items()}
    if remote:
        csc.indptr = np.append(csc.indptr, np.full(len(nodes) - csc.num_nodes, csc.num_edges))
        degree_n = np.append(degree_n, degrees(reader, other_ranges)[0])
    hop = None
    if first_hop:
        degree = torch.from_numpy(degree_n).float()
        hop = FirstHop(arrays["first_hop"], degree, arrays.get("in_weight"))
    member_NR = arrays.get("candidates")
    return Shard(
        nodes=nodes,
        csc=csc,
        feat=arrays.get("feat", torch.empty(len(nodes), 0)),
        hop=hop,
        num_own=sum(stop - start for start, stop in own_ranges),
        label=arrays.get("label"),
        train_nodes=_train_nodes(reader, blocks if labels else blocks[:0]),
        assigned_edges=assigned_edges,
        candidates=None
        if member_NR is None
        else Candidates(store.candidate_rules, member_NR.numpy()),
    )


def _ranges(store: GraphStore, blocks: np.ndarray) -> list[Range]:
    offsets = store.block_offsets.tolist()
    return [(offsets[block], offsets[block + 1]) for block in blocks]


def _nodes(ranges: list[Range]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*rows) for rows in ranges)])


def _train_nodes(reader: BlockReader, blocks: np.ndarray) -> np.ndarray:
    """Local numbers of the training nodes in the blocks, int64 ascending."""
    store, name = reader.store, "split/train/node"
    if name not in store or not len(blocks):
        return np.zeros(0, np.int64)
    starts = store.block_offsets[:-1]
    shift_B = np.zeros(store.num_blocks, np.int64)  # store number minus local number
    sizes = np.diff(store.block_offsets)[blocks]
    shift_B[blocks] = starts[blocks] - np.concatenate([[0], np.cumsum(sizes)[:-1]])
    own_B = np.zeros(store.num_blocks, bool)
    own_B[blocks] = True
    local = [np.zeros(0, np.int64)]
    num_rows = store.array(name).shape[0]
    for first in range(0, num_rows, NODES_AT_ONCE):
        nodes = reader.read(name, first, min(first + NODES_AT_ONCE, num_rows))
        block = np.searchsorted(starts, nodes, side="right") - 1
        own = own_B[block]
        local.append(nodes[own] - shift_B[block[own]])
    return np.concatenate(local)
