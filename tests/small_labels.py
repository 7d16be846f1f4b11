"""Graphs with labels of every kind that follow from the nodes' features.

Legend: N nodes, D features, C labels, T targets.
"""

from __future__ import annotations

import numpy as np

from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.store import GraphStore
from hvdtma.graph.targets import UNKNOWN
from hvdtma.storage.node_ids import NodeIds

KINDS = ("class", "multi", "real")


def labelled_graph(kind: str, nodes: int = 600, unlabelled: float = 0.1, seed: int = 0) -> RawGraph:
    """An undirected graph with labels of a kind.

    Class: the sign of a score of the features, 3 of 4 nodes are "no". Multi: four signs. Real: two
    targets, of which the first is large and the second has unknown entries.
    """
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, nodes, (2, 3 * nodes))
    feat_ND = rng.normal(size=(nodes, 8)).astype(np.float32)
    score_N4 = feat_ND[:, :4].astype(np.float64)
    without_N = rng.random(nodes) < unlabelled
    if kind == "class":
        label = (score_N4[:, 0] > 0.67).astype(np.int64)
        label[without_N] = -1
        names = ["no", "yes"]
    elif kind == "multi":
        label = (score_N4 > [0, 0.5, 1, -1]).astype(np.uint8)
        label[without_N] = UNKNOWN
        label[rng.random(label.shape) < 0.05] = UNKNOWN
        names = ["a", "b", "c", "d"]
    else:
        label = np.stack([1e6 + 5e4 * score_N4[:, 0], score_N4[:, 1] - score_N4[:, 2]], 1)
        label[rng.random(nodes) < 0.2, 1] = np.nan
        label[without_N] = np.nan
        names = ["price", "change"]
    return RawGraph(
        src,
        dst,
        NodeIds.counted(nodes),
        undirected=True,
        feat=feat_ND,
        label=label,
        label_names=names,
        label_kind=kind,
    )


def labelled_store(path, kind: str, **changes) -> GraphStore:
    """Such a graph as a store, in blocks of 20 nodes."""
    options = BuildOptions(hold_out="nodes", block_nodes=20, valid=0.2, test=0.2)
    return build(path, labelled_graph(kind, **changes), options)
