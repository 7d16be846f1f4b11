"""Small graphs to test on, and slow but plain ways to look at them.

Legend: N nodes, E edges, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from graph_in_memory import Graph, read_graph, write_graph
from hypothesis import strategies as st

from hvdtma.graph.csc import CSC, build_csc
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.store import GraphStore
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.sampling.neighbour_sampler import NeighbourSampler
from hvdtma.sampling.shard import Shard
from hvdtma.storage.node_ids import NodeIds

TYPES = ["depends", "suggests", "breaks"]


def community_graph(nodes: int = 600, edges: int = 3000, seed: int = 0) -> RawGraph:
    """Undirected, six communities, ids beyond 32 bits; feature 0 is the node's position."""
    rng = np.random.default_rng(seed)
    community = np.sort(rng.integers(0, 6, nodes))
    src = rng.integers(0, nodes, edges)
    starts, ends = (np.searchsorted(community, community[src], side) for side in ("left", "right"))
    inside = rng.integers(starts, ends)
    dst = np.where(rng.random(edges) < 0.9, inside, rng.integers(0, nodes, edges))
    feat = np.eye(7, dtype=np.float32)[community] + 0.1 * rng.random((nodes, 7), np.float32)
    feat[:, 0] = np.arange(nodes)
    ids = 2**40 + 3 * rng.permutation(nodes)
    return RawGraph(
        src,
        dst,
        NodeIds.of(ids),
        undirected=True,
        feat=feat,
        label=np.where(rng.random(nodes) < 0.1, -1, community),
        label_names=[f"community {number}" for number in range(6)],
    )


def typed_graph(nodes: int = 200, edges: int = 800, seed: int = 1) -> RawGraph:
    """Directed, three types, strings for ids; many parallel and opposite edges."""
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, nodes, (2, edges))
    again = rng.integers(0, edges, edges // 2)
    turned = rng.integers(0, edges, edges // 4)
    src, dst = np.r_[src, src[again], dst[turned]], np.r_[dst, dst[again], src[turned]]
    feat = rng.normal(size=(nodes, 4)).astype(np.float32)
    feat[:, 0] = np.arange(nodes)
    return RawGraph(
        src,
        dst,
        NodeIds.of([f"pâckage-{number}-包" for number in rng.permutation(nodes)]),
        edge_type=rng.integers(0, 3, len(src)).astype(np.int16),
        edge_type_names=TYPES,
        feat=feat,
    )


def edges_by_id(graph: Graph | RawGraph) -> list[tuple]:
    """Every edge as (source id, destination id, type), sorted; without types the type is 0."""
    edges = graph if isinstance(graph, RawGraph) else graph.csc
    src = edges.src if isinstance(edges, RawGraph) else edges.indices
    dst = edges.dst if isinstance(edges, RawGraph) else edges.destinations()
    types = np.zeros(len(src), int) if edges.edge_type is None else edges.edge_type
    ids = graph.node_id.to_list()
    return sorted((ids[u], ids[v], int(t)) for u, v, t in zip(src, dst, types, strict=True))


def stored_edges_by_id(store: GraphStore) -> list[tuple]:
    return edges_by_id(read_graph(store))


def dense(csc: CSC) -> np.ndarray:
    """float64 [N, N]: how many edges row v has from column u, or their weight."""
    adjacency = np.zeros((csc.num_nodes, csc.num_nodes))
    each = 1 if csc.weight is None else csc.weight.astype(np.float64)
    np.add.at(adjacency, (csc.destinations(), csc.indices), each)
    return adjacency


def mean_of(adjacency_NN: np.ndarray, feat_ND: np.ndarray) -> np.ndarray:
    """Mean over each row's edges, 0 without any, in float64."""
    total = adjacency_NN @ np.asarray(feat_ND, np.float64)
    weight_N1 = adjacency_NN.sum(1, keepdims=True)
    return total / np.where(weight_N1 > 0, weight_N1, 1)


def shard_of(csc: CSC, *, dim: int = 5, remote: int = 0, seed: int = 0) -> Shard:
    """A shard that is a whole graph, with its first hop, and remote nodes after it."""
    feat = np.random.default_rng(seed).normal(size=(csc.num_nodes + remote, dim))
    feat = feat.astype(np.float32)
    with_foreign = CSC(
        np.append(csc.indptr, np.full(remote, csc.num_edges)),
        csc.indices,
        csc.edge_type,
        csc.weight,
    )
    degree = torch.from_numpy(np.diff(with_foreign.indptr)).float()
    weight = None
    if csc.weight is not None:
        weight = torch.from_numpy(
            np.bincount(with_foreign.destinations(), csc.weight, with_foreign.num_nodes)
        )
    hop = FirstHop(torch.from_numpy(first_hop(with_foreign, feat)), degree, weight)
    return Shard(
        nodes=np.arange(with_foreign.num_nodes),
        csc=with_foreign,
        feat=torch.from_numpy(feat),
        hop=hop,
        num_own=csc.num_nodes,
        label=None,
        train_nodes=np.zeros(0, np.int64),
        assigned_edges=csc.num_edges,
    )


def store_of(path, csc: CSC, block_offsets, *, undirected=False, seed=0, **fields) -> GraphStore:
    """A store of a bare graph; `fields` are further ones of `Graph`."""
    feat = np.random.default_rng(seed).normal(size=(csc.num_nodes, 3)).astype(np.float32)
    graph = Graph(csc, NodeIds.counted(csc.num_nodes), undirected, feat, first_hop(csc, feat))
    graph.attrs = {"label_names": [], "edge_type_names": TYPES, "counts": {}, "provenance": []}
    for name, value in fields.items():
        setattr(graph, name, value)
    return write_graph(
        path, graph, np.asarray(block_offsets), order={"method": "given"}, overwrite=True
    )


@st.composite
def small_csc(draw, *, most_nodes: int = 9, undirected: bool | None = None) -> CSC:
    """Up to 30 typed edges between a few nodes: parallel and opposite ones, nodes without any.

    As `build` leaves them: an edge of a type stands once, an undirected pair once each way.
    """
    num_nodes = draw(st.integers(2, most_nodes))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.sets(st.tuples(node, node, st.integers(0, 2)), min_size=1, max_size=30))
    edges = {edge for edge in edges if edge[0] != edge[1]} or {(0, 1, 0)}
    if draw(st.booleans()) if undirected is None else undirected:
        once = {(min(u, v), max(u, v)): kind for u, v, kind in sorted(edges)}
        edges = {(*pair, kind) for (u, v), kind in once.items() for pair in ((u, v), (v, u))}
    src, dst, kind = np.array(sorted(edges)).T
    return build_csc(src, dst, num_nodes, kind)


@st.composite
def weighted_csc(draw, *, most_nodes: int = 9) -> CSC:
    """A `small_csc` with weights from 1/100 to 100."""
    csc = draw(small_csc(most_nodes=most_nodes))
    exponent = np.random.default_rng(draw(st.integers(0, 99))).uniform(-2, 2, csc.num_edges)
    csc.weight = (10**exponent).astype(np.float32)
    return csc


def sample_neighbourhood(shard, seeds, fanouts, *, random_seed, targets=None):
    """The neighbourhood of seeds, sampled uniformly."""
    return NeighbourSampler(fanouts).sample(shard, seeds, random_seed=random_seed, targets=targets)
