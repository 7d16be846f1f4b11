"""Data sets of the Open Graph Benchmark (Hu et al., arXiv 2005.00687): `ogb:NAME`.

They are read with OGB's own package. Edges stand for both directions. Link data sets have OGB's
splits, and its negatives if these belong to a pair (citation2, wikikg2: those that replace the
destination). Negatives that all pairs share (ppa, collab, ddi, vessel) are counted and left out,
and `build` draws its own. Node data sets have OGB's labels and splits. Features of edges are not
read.

Legend: N nodes, E edges, D features, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.label_values import targets_of
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.sources.ogb_pickles import arrays_only
from hvdtma.graph.targets import has_label
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode_types
from hvdtma.tables.features import checked_features

LINK_SETS = [f"ogbl-{name}" for name in ("citation2", "collab", "ddi", "ppa", "vessel", "wikikg2")]
NODE_SETS = [f"ogbn-{name}" for name in ("arxiv", "papers100M", "products", "proteins")]
_ENDS = (("source_node", "target_node", "target_node_neg"), ("head", "tail", "tail_neg"))

Split = dict[str, dict[str, Any]]


def load_ogb(name: str = "", root: str | Path = "dataset") -> RawGraph:
    """A data set by its OGB name; downloaded to the folder `root` if it is not there yet.

    Raises UserError for a name that is not of a homogeneous graph of links or nodes, if the
    package `ogb` is missing, and if the data cannot be read or downloaded.
    """
    if name not in LINK_SETS + NODE_SETS:
        raise UserError(f"ogb: unknown data set '{name}'; {nearest(name, LINK_SETS + NODE_SETS)}")
    try:  # an optional package
        from ogb.linkproppred import LinkPropPredDataset
        from ogb.nodeproppred import NodePropPredDataset
    except ImportError:
        raise UserError("'ogb:' needs the package ogb; run `pip install ogb`") from None
    kind = LinkPropPredDataset if name in LINK_SETS else NodePropPredDataset
    try:
        with arrays_only():
            dataset = kind(name=name, root=str(root))
            if name in LINK_SETS:
                graph = link_graph(dataset[0], dataset.get_edge_split())
            else:
                data, labels = dataset[0]
                graph = node_graph(data, labels, dataset.get_idx_split())
    except (OSError, EOFError, RuntimeError, BadZipFile, SystemExit) as error:
        # no network, no terminal to confirm a large download, an incomplete or a refused one
        raise UserError(
            f"ogb: '{name}' cannot be read or downloaded ({type(error).__name__}: {error}); put "
            f"OGB's folder '{name.replace('-', '_')}' into '{root}', or run with network access"
        ) from None
    graph.origin = {"kind": "ogb", "name": name}
    return graph


def link_graph(graph: dict[str, Any], split: Split) -> RawGraph:
    """A graph from OGB's link prediction format.

    Args:
        graph: `num_nodes`, and `node_feat` [N, D] or None.
        split: for each part `edge` [n, 2], or `source_node` and `target_node` [n] with
            `target_node_neg` [n, K], or `head`, `relation` and `tail` [n] with `tail_neg` [n, K].
    """
    links = {part: _pairs(split[part]) for part in PARTS}
    train = links["train"]
    raw = _graph(graph, train.src, train.dst)
    if "relation" in split["train"]:
        relations = [pa.array(np.asarray(split[part]["relation"])) for part in PARTS]
        raw.edge_type_names, codes = encode_types(relations)
        for part, code in zip(PARTS, codes, strict=True):
            links[part].edge_type = code
        raw.edge_type = train.edge_type
    raw.link_split = links
    shared = sum(len(split[part].get("edge_neg", ())) for part in PARTS)
    raw.counts["ogb_negative_pairs_left_out"] = shared
    return raw


def node_graph(graph: dict[str, Any], labels: Any, split: dict[str, Any]) -> RawGraph:
    """A graph from OGB's node classification format.

    Args:
        graph: `edge_index` [2, E], `num_nodes`, and `node_feat` [N, D] or None.
        labels: [N, 1], classes; or [N, C] of 0 and 1, several labels per node. NaN is no label.
        split: the nodes of each part.
    """
    raw = _graph(graph, *np.asarray(graph["edge_index"]).astype(np.int64))
    values = np.asarray(labels)
    kind = "class" if values.shape[1] == 1 else "multi"
    raw.label, raw.label_names, raw.label_kind = targets_of(values, "ogb", kind=kind)
    raw.counts["nodes_without_label"] = int((~has_label(raw.label, kind)).sum())
    raw.node_split = {part: np.sort(np.asarray(split[part]).astype(np.int64)) for part in PARTS}
    return raw


def _graph(graph: dict[str, Any], src: np.ndarray, dst: np.ndarray) -> RawGraph:
    feat = graph.get("node_feat")
    return RawGraph(
        src=src,
        dst=dst,
        node_id=NodeIds.counted(int(graph["num_nodes"])),
        undirected=True,
        feat=None if feat is None else checked_features(np.asarray(feat), "ogb"),
    )


def _pairs(part: dict[str, Any]) -> Pairs:
    if "edge" in part:
        src, dst = np.asarray(part["edge"]).astype(np.int64).T.copy()
        return Pairs(src, dst)
    names = next((names for names in _ENDS if names[0] in part), None)
    if names is None:
        raise UserError(f"ogb: a split of unknown format, with {', '.join(part)}")
    src, dst = (np.asarray(part[name]).astype(np.int64) for name in names[:2])
    neg = np.asarray(part[names[2]]).astype(np.int64) if names[2] in part else None
    return Pairs(src, dst, neg)
