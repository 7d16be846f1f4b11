"""Given splits put into a graph, so that no held-out pair is left among its edges.

Legend: E edges.
"""

from __future__ import annotations

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources.columns import Column, encode_types
from hvdtma.graph.sources.split_table import GivenSplits
from hvdtma.graph.splits import pair_key


def set_types(raw: RawGraph, types: Column | None) -> None:
    """Edge types of a graph without given pairs; `types` are names [E] or None."""
    if types is not None:
        raw.edge_type_names, (raw.edge_type,) = encode_types([types])


def take_splits(raw: RawGraph, types: Column | None, splits: GivenSplits) -> None:
    """Put given splits into `raw`, whose edges are those of the edges file, or none.

    The edges become the train pairs and then those of the file that are between no pair of valid
    or test, in either direction and whatever their type. Raises UserError for ids that are no
    nodes, and where only one of edges and pairs has types.
    """
    raw.node_split = splits.node_split(raw.node_id)
    links = splits.link_split(raw.node_id)
    if links is None:
        set_types(raw, types)
        return
    has_edges = len(raw.src) > 0
    if has_edges and (types is None) == bool(splits.types):
        has, lacks = ("the pairs", "the edges") if types is None else ("the edges", "the pairs")
        raise UserError(
            f"'{splits.path}': {has} have types but {lacks} do not; types come from --type-column "
            "and from train_type, valid_type, test_type, give both or neither"
        )
    columns = ([types] if has_edges and types is not None else []) + list(splits.types.values())
    raw.edge_type_names, codes = encode_types(columns)
    of_edges = codes.pop(0) if len(codes) > len(splits.types) else None
    for part, code in zip(splits.types, codes, strict=True):
        links[part].edge_type = code
    train, held_out = links["train"], [links["valid"], links["test"]]
    held_out_key = np.concatenate([pair_key(p.src, p.dst, raw.num_nodes) for p in held_out])
    kept = ~np.isin(pair_key(raw.src, raw.dst, raw.num_nodes), held_out_key)
    train_key = pair_key(train.src, train.dst, raw.num_nodes)
    raw.counts["edges_held_out"] = int((~kept).sum())
    raw.counts["held_out_pairs_in_train"] = int(np.isin(held_out_key, train_key).sum())
    raw.src = np.concatenate([train.src, raw.src[kept]])
    raw.dst = np.concatenate([train.dst, raw.dst[kept]])
    if train.edge_type is not None:
        rest = train.edge_type[:0] if of_edges is None else of_edges[kept]
        raw.edge_type = np.concatenate([train.edge_type, rest])
    raw.link_split = links
