"""From what a source gives to a store: clean, hold out, renumber, summarise, write.

Legend: N nodes, E edges as given, D features, K negatives per held-out link.

Rules: self-loops are dropped. Of several edges between the same two nodes one is kept: for an
undirected graph one per unordered pair, for a directed one per (source, destination, type); where
types differ, the one listed first in `edge_type_names`. Each is counted and reported.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from hvdtma.console import stage
from hvdtma.errors import UserError, check_seed
from hvdtma.graph.blocks import equal_blocks, sensible_block_size
from hvdtma.graph.csc import CSC, build_csc, index_dtype
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.memory import Graph, renumber, write_graph
from hvdtma.graph.raw import Pairs, RawGraph
from hvdtma.graph.reduce import reduce_features
from hvdtma.graph.spectral import spectral_features
from hvdtma.graph.splits import draw_negatives, hold_out_links, hold_out_nodes, pair_key
from hvdtma.graph.store import GraphStore, refuse_existing
from hvdtma.version import __version__


@dataclass(frozen=True)
class BuildOptions:
    """How a store is made from a source.

    Attributes:
        order: `random` (RandomTMA) or `given` (the source's own order of nodes).
        hold_out: `links` for link prediction; `nodes` keeps every link in the training graph.
        valid, test: share held out for each, or a count from 1 on.
        negatives: destinations drawn for each held-out link.
        seed: of the split, the order, the negatives and the reduction.
        feature_dim: reduce features to so many (None: dense ones are kept, sparse become 128).
        feature_dtype: `float32` or `float16`, on disk.
        first_hop: also store the mean of every node's in-neighbours' features.
        block_nodes: nodes per block (None: about 8 MiB of features, and at least 256 blocks).
    """

    order: str = "random"
    hold_out: str = "links"
    valid: float = 0.05
    test: float = 0.05
    negatives: int = 1000
    seed: int = 0
    feature_dim: int | None = None
    feature_dtype: str = "float32"
    first_hop: bool = True
    block_nodes: int | None = None

    def __post_init__(self) -> None:
        for name, valid in (
            ("order", ("random", "given")),
            ("hold_out", ("links", "nodes")),
            ("feature_dtype", ("float32", "float16")),
        ):
            if getattr(self, name) not in valid:
                raise UserError(f"{name} is '{getattr(self, name)}'; valid: {', '.join(valid)}")
        for name in ("valid", "test"):
            size = getattr(self, name)
            if not (0 < size < 1 or (size >= 1 and float(size).is_integer())):
                raise UserError(
                    f"--{name} is {size}; it must be above 0: a share below 1, or a whole number"
                )
        for name in ("negatives", "feature_dim", "block_nodes"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        check_seed(self.seed)


def build(
    path: str | Path,
    raw: RawGraph,
    options: BuildOptions | None = None,
    *,
    overwrite: bool = False,
) -> GraphStore:
    """Write `raw` as a store at `path` and open it.

    Raises UserError for arrays in `raw` that do not fit one another, an empty split, features that
    are not finite, an existing `path` (unless `overwrite`), a full disk.
    """
    options = options or BuildOptions()
    refuse_existing(Path(path), overwrite)
    raw.check()
    streams = np.random.default_rng(options.seed).spawn(4)  # independent of one another
    with stage("cleaning edges"):
        src, dst, edge_type, counts = clean_edges(raw)
        counts |= raw.counts
    with stage("holding out"):
        train, links = _link_split(raw, src, dst, edge_type, options, streams[0])
        counts["edges_dropped_as_held_out"] = 0 if options.hold_out == "nodes" else train[1]
        nodes = _node_split(raw, options, streams[1])
    with stage("sorting edges"):
        csc = _training_graph(src, dst, edge_type, train[0], raw)
    given = [part for part, pairs in links.items() if pairs.neg is not None]
    with stage("negatives"):
        _fill_negatives(links, src, dst, raw, options, streams[2])
    feat = _features(raw, csc, options)
    graph = Graph(
        csc=csc,
        node_id=raw.node_id,
        undirected=raw.undirected,
        feat=feat,
        label=raw.label,
        links=links,
        nodes=nodes,
        attrs={
            "label_names": raw.label_names,
            "edge_type_names": raw.edge_type_names,
            "negatives_given": given,
            "counts": {name: int(count) for name, count in counts.items() if count},
            "provenance": [provenance("build", source=raw.source, options=asdict(options))],
        },
    )
    if options.first_hop:
        with stage("first hop"):
            graph.first_hop = first_hop(csc, feat)
    if options.order == "random":
        with stage("renumbering"):
            graph = renumber(graph, streams[3].permutation(raw.num_nodes))
    with stage("writing"):
        size = options.block_nodes or sensible_block_size(raw.num_nodes, feat[:1].nbytes)
        store = write_graph(
            path,
            graph,
            equal_blocks(raw.num_nodes, size),
            order={"method": options.order, "seed": options.seed},
            overwrite=overwrite,
        )
    return store


def provenance(command: str, **what: object) -> dict:
    """An entry for a store's provenance: which command made it, from what, with which version."""
    return {"command": command, "hvdtma": __version__, **what}


def clean_edges(raw: RawGraph) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, dict[str, int]]:
    """Edges without self-loops and repeats: (src, dst, edge_type, counts)."""
    no_loop = raw.src != raw.dst
    src, dst = raw.src[no_loop], raw.dst[no_loop]
    edge_type = None if raw.edge_type is None else raw.edge_type[no_loop]
    num_loops = len(raw.src) - len(src)
    if edge_type is not None:  # strongest type first, so that it is the one kept
        by_type = np.argsort(edge_type, kind="stable")
        src, dst, edge_type = src[by_type], dst[by_type], edge_type[by_type]
    if raw.undirected:
        first = _first_of(pair_key(src, dst, raw.num_nodes))
    elif edge_type is None:
        first = _first_of(src * raw.num_nodes + dst)
    else:
        num_types = int(edge_type.max(initial=0)) + 1
        first = _first_of((src * raw.num_nodes + dst) * num_types + edge_type)
    counts = {"self_loops": num_loops, "duplicate_edges": len(src) - len(first)}
    edge_type = None if edge_type is None else edge_type[first]
    return src[first], dst[first], edge_type, counts


def _first_of(key: np.ndarray) -> np.ndarray:
    return np.sort(np.unique(key, return_index=True)[1])


def _link_split(
    raw: RawGraph,
    src: np.ndarray,
    dst: np.ndarray,
    edge_type: np.ndarray | None,
    options: BuildOptions,
    rng: np.random.Generator,
) -> tuple[tuple[np.ndarray, int], dict[str, Pairs]]:
    """((mask of edges to train on, edges dropped), held-out links)."""
    if options.hold_out == "nodes":
        return (np.ones(len(src), bool), 0), {}
    if raw.link_split is None:
        mask, links = hold_out_links(
            src,
            dst,
            edge_type,
            raw.num_nodes,
            undirected=raw.undirected,
            valid=options.valid,
            test=options.test,
            rng=rng,
        )
        return (mask, 0), links
    links = {part: replace(raw.link_split[part]) for part in ("valid", "test")}
    for part, pairs in links.items():
        if not len(pairs):
            raise UserError(f"the given {part} split is empty")
    held_out = np.concatenate([pair_key(p.src, p.dst, raw.num_nodes) for p in links.values()])
    mask = ~np.isin(pair_key(src, dst, raw.num_nodes), held_out)
    if not mask.any():
        raise UserError("the given train split is empty, or every pair of it is held out")
    return (mask, int((~mask).sum())), links


def _node_split(
    raw: RawGraph, options: BuildOptions, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    if raw.node_split is not None:
        return raw.node_split
    if raw.label is None:
        if options.hold_out == "nodes":
            raise UserError("holding out nodes needs labels: give --labels")
        return {}
    if options.hold_out == "links":  # nodes are split too where the same shares leave some
        smallest = min(options.valid, options.test)
        if max(options.valid, options.test) >= 1 or smallest * (raw.label >= 0).sum() < 1:
            return {}
    return hold_out_nodes(raw.label, options.valid, options.test, rng)


def _training_graph(
    src: np.ndarray,
    dst: np.ndarray,
    edge_type: np.ndarray | None,
    mask: np.ndarray,
    raw: RawGraph,
) -> CSC:
    src, dst = src[mask], dst[mask]
    edge_type = None if edge_type is None else edge_type[mask]
    if raw.undirected:
        src, dst = np.r_[src, dst], np.r_[dst, src]
        edge_type = None if edge_type is None else np.r_[edge_type, edge_type]
    return build_csc(src, dst, raw.num_nodes, edge_type)


def _fill_negatives(
    links: dict[str, Pairs],
    src: np.ndarray,
    dst: np.ndarray,
    raw: RawGraph,
    options: BuildOptions,
    rng: np.random.Generator,
) -> None:
    """Draw negatives for the held-out links that came without."""
    known = Pairs(
        np.concatenate([src, *(pairs.src for pairs in links.values())]),
        np.concatenate([dst, *(pairs.dst for pairs in links.values())]),
    )
    dtype = index_dtype(raw.num_nodes)
    for pairs in links.values():
        if pairs.neg is None:
            pairs.neg = draw_negatives(
                pairs.src,
                known,
                raw.num_nodes,
                options.negatives,
                undirected=raw.undirected,
                rng=rng,
            ).astype(dtype)


def _features(raw: RawGraph, csc: CSC, options: BuildOptions) -> np.ndarray:
    """Finite features [N, D] of the asked width and dtype."""
    feat = raw.feat
    if feat is None:
        with stage("features from the graph itself (none given)"):
            feat = spectral_features(csc, options.feature_dim or 128, options.seed)
    elif sp.issparse(feat) or options.feature_dim:
        with stage("reducing features"):
            feat = reduce_features(feat, options.feature_dim or 128, options.seed)
    with np.errstate(over="ignore"):  # what float16 cannot hold is refused below
        feat = np.ascontiguousarray(feat, dtype=options.feature_dtype)
    bad = np.argwhere(~np.isfinite(feat))
    if len(bad):
        node, column = bad[0]
        raise UserError(
            f"features hold {len(bad)} values that are not finite (as {options.feature_dtype}); "
            f"the first is of node {raw.node_id[node]!r}, column {column}"
        )
    return feat
