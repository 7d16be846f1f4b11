"""Cluster batches: the nodes of some clusters, with the links among them.

Cluster-GCN (Chiang et al., KDD 2019): clusters are drawn at random, and links between different
clusters of a batch are kept. Nodes of a batch share their neighbours, so a step reads few nodes for
many links. With the stored first hop, the first layer still reads all neighbours of every node.

Legend: S seeds, n input nodes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from hvdtma.core.bounds import check_whole
from hvdtma.core.errors import UserError, nearest
from hvdtma.sampling.clusters import LARGEST, NodeClusters, find_clusters
from hvdtma.sampling.draws import Exclusion, SampledEdges, edges_within
from hvdtma.sampling.edge_set import EdgeSet
from hvdtma.sampling.layers import sample_layers
from hvdtma.sampling.members import marked
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets
from hvdtma.sampling.shard import Shard
from hvdtma.sampling.typed_neighbourhood import TypedNeighbourhood
from hvdtma.sampling.typed_shard import TypedShard

METHODS = ("auto", "order", "labels", "metis")


class ClusterSampler:
    """Groups the shard's nodes by clusters; see `hvdtma.sampling.sampler.GroupingSampler`.

    Args:
        fanouts: one per sampled layer; their values are not used: all neighbours in the group are
            read.
        nodes: nodes of a group, about.
        cluster_nodes: nodes of a cluster, about.
        clusters: `auto`, `order`, `labels` or `metis`; see `find_clusters`.
    """

    typed = True

    def __init__(
        self,
        fanouts: list[int],
        nodes: int = 12_000,
        cluster_nodes: int = 100,
        clusters: str = "auto",
    ):
        if clusters not in METHODS:
            raise UserError(f"clusters is '{clusters}'; {nearest(str(clusters), list(METHODS))}")
        check_whole("nodes", nodes, 1)
        check_whole("cluster_nodes", cluster_nodes, 1)
        if cluster_nodes > nodes:
            raise UserError(
                f"cluster_nodes is {cluster_nodes} and nodes is {nodes}; a group has at least "
                "one cluster"
            )
        self.num_layers = len(fanouts)
        self.nodes, self.cluster_nodes, self.method = nodes, cluster_nodes, clusters
        # The number of groups is rounded, and the last cluster of a group may stand out.
        self.max_nodes = nodes + nodes // 2 + LARGEST * cluster_nodes

    def groups(
        self, shard: Shard, *, stream: list[int], epochs: int, first_step: int = 0
    ) -> Iterator[tuple[int, np.ndarray]]:
        """See `hvdtma.sampling.sampler.GroupingSampler`."""
        clusters = find_clusters(
            shard.csc, shard.num_own, self.cluster_nodes, self.method, seed=stream[0]
        )
        size_C = np.diff(clusters.start)
        num_groups = max(round(shard.num_own / self.nodes), 1)
        current_epoch, order, group_C = -1, size_C, size_C
        for step in range(first_step, num_groups * epochs):
            epoch, number = divmod(step, num_groups)
            if epoch != current_epoch:
                order = np.random.default_rng([*stream, epoch]).permutation(len(size_C))
                middle_C = np.cumsum(size_C[order]) - size_C[order] / 2
                group_C = (middle_C * num_groups // shard.num_own).astype(np.int64)
                current_epoch = epoch
            yield step, nodes_of(clusters, order[group_C == number])

    def sample(
        self,
        shard: Shard,
        seeds_S: torch.Tensor,
        *,
        random_seed: int,
        targets: Targets | None = None,
        within: np.ndarray | None = None,
    ) -> Neighbourhood | TypedNeighbourhood:
        """All neighbours of the seeds that are in the group `within` (None: in the shard)."""
        if within is None:
            is_member = np.ones(shard.num_nodes, bool)
            return self._sample(shard, seeds_S, targets, is_member)
        with marked(within, shard.num_nodes) as is_member:
            return self._sample(shard, seeds_S, targets, is_member)

    def _sample(
        self, shard: Shard, seeds_S: torch.Tensor, targets: Targets | None, is_member: np.ndarray
    ) -> Neighbourhood | TypedNeighbourhood:
        """All neighbours of the seeds that are members (bool [n])."""
        members = shard.by_type(is_member) if isinstance(shard, TypedShard) else [is_member]

        def layer(edges: EdgeSet, rows: np.ndarray, excluded: Exclusion) -> SampledEdges:
            return edges_within(edges.csc, rows, members[edges.src_type], excluded)

        return sample_layers(shard, seeds_S, targets, [layer] * self.num_layers)


def nodes_of(clusters: NodeClusters, chosen: np.ndarray) -> np.ndarray:
    """The nodes of some clusters, ascending."""
    start, node = clusters.start, clusters.node
    nodes = [node[:0], *(node[start[c] : start[c + 1]] for c in chosen.tolist())]
    return np.sort(np.concatenate(nodes))
