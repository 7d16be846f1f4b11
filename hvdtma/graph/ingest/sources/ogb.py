"""The Open Graph Benchmark (Hu et al., arXiv 2005.00687): `ogb:NAME`, through its own package.

Edges stand for both directions, whichever way OGB keeps them. In link data sets the edges are the
train pairs, and the splits are OGB's, with its negatives where they belong to a pair (citation2,
wikikg2: those that replace the destination). Where OGB has one set of negative pairs for all
(ppa, collab, ddi, vessel) these are counted and left out, and `build` draws its own. In node data
sets labels and splits are OGB's. Features of edges are not read.

Legend: N nodes, E edges, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.ingest.labels import classes
from hvdtma.graph.ingest.sources.ogb_pickles import arrays_only
from hvdtma.graph.raw import Pairs, RawGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode_types
from hvdtma.tables.features import checked_features

LINK_SETS = (
    "ogbl-citation2",
    "ogbl-collab",
    "ogbl-ddi",
    "ogbl-ppa",
    "ogbl-vessel",
    "ogbl-wikikg2",
)
NODE_SETS = ("ogbn-arxiv", "ogbn-papers100M", "ogbn-products")
_ENDS = (("source_node", "target_node", "target_node_neg"), ("head", "tail", "tail_neg"))

Split = dict[str, dict[str, Any]]


def load_ogb(name: str, root: str | Path = "dataset") -> RawGraph:
    """A data set by OGB's name, from the folder `root`, where OGB puts it if it is not there yet.

    Raises UserError for names that are not of homogeneous graphs with one class per node, where
    the package is missing, and where the data cannot be had.
    """
    if name not in LINK_SETS + NODE_SETS:
        raise UserError(
            f"ogb: unknown data set '{name}'; {nearest(name, [*LINK_SETS, *NODE_SETS])}"
        )
    try:
        from ogb.linkproppred import LinkPropPredDataset
        from ogb.nodeproppred import NodePropPredDataset
    except ImportError:
        raise UserError("'ogb:' needs the package ogb; run `pip install ogb`") from None
    kind = LinkPropPredDataset if name in LINK_SETS else NodePropPredDataset
    try:
        with arrays_only():
            dataset = kind(name=name, root=str(root))
            if name in LINK_SETS:
                raw = link_graph(dataset[0], dataset.get_edge_split())
            else:
                graph, labels = dataset[0]
                raw = node_graph(graph, labels, dataset.get_idx_split())
    except (OSError, EOFError, RuntimeError, BadZipFile, SystemExit) as error:
        # no network, no terminal to confirm a large download on, an unfinished one, a refusal
        raise UserError(
            f"ogb: '{name}' cannot be had ({type(error).__name__}: {error}); put OGB's folder "
            f"'{name.replace('-', '_')}' under '{root}', or run where the network allows"
        ) from None
    raw.source = {"kind": "ogb", "name": name}
    return raw


def link_graph(graph: dict[str, Any], split: Split) -> RawGraph:
    """A graph from OGB's link-prediction form.

    Args:
        graph: `num_nodes`, and `node_feat` [N, D] or None.
        split: by part `edge` [n, 2], or `source_node` and `target_node` [n] with
            `target_node_neg` [n, K], or `head`, `relation` and `tail` [n] with `tail_neg` [n, K].
    """
    links, shared = {}, 0
    for part in PARTS:
        links[part] = _pairs(split[part])
        shared += len(split[part].get("edge_neg", ()))
    train = links["train"]
    raw = _graph(graph, train.src, train.dst)
    if "relation" in split["train"]:
        relations = [pa.array(_array(split[part]["relation"])) for part in PARTS]
        raw.edge_type_names, codes = encode_types(relations)
        for part, code in zip(PARTS, codes, strict=True):
            links[part].edge_type = code
        raw.edge_type = train.edge_type
    raw.link_split = links
    raw.counts["ogb_negative_pairs_left_out"] = shared
    return raw


def node_graph(graph: dict[str, Any], labels: Any, split: dict[str, Any]) -> RawGraph:
    """A graph from OGB's node-classification form.

    Args:
        graph: `edge_index` [2, E], `num_nodes`, and `node_feat` [N, D] or None.
        labels: [N, 1]; NaN is no label.
        split: nodes by part.
    """
    src, dst = _array(graph["edge_index"]).astype(np.int64)
    raw = _graph(graph, src, dst)
    raw.label, raw.label_names = classes(_array(labels), "ogb")
    raw.counts["nodes_without_label"] = int((raw.label < 0).sum())
    raw.node_split = {part: np.sort(_array(split[part]).astype(np.int64)) for part in PARTS}
    return raw


def _graph(graph: dict[str, Any], src: np.ndarray, dst: np.ndarray) -> RawGraph:
    num_nodes = int(graph["num_nodes"])
    feat = graph.get("node_feat")
    return RawGraph(
        src=src,
        dst=dst,
        node_id=NodeIds.counted(num_nodes),
        undirected=True,
        feat=None if feat is None else checked_features(_array(feat), "ogb"),
    )


def _pairs(part: dict[str, Any]) -> Pairs:
    if "edge" in part:
        src, dst = _array(part["edge"]).astype(np.int64).T.copy()
        return Pairs(src, dst)
    ends = next((ends for ends in _ENDS if ends[0] in part), None)
    if ends is None:
        raise UserError(f"ogb: a split of an unknown form, with {', '.join(part)}")
    src, dst = (_array(part[end]).astype(np.int64) for end in ends[:2])
    neg = _array(part[ends[2]]).astype(np.int64) if ends[2] in part else None
    return Pairs(src, dst, neg)


def _array(values: Any) -> np.ndarray:
    """NumPy's view of an array, a list or a tensor."""
    return np.asarray(values)
