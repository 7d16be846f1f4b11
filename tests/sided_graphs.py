"""Graphs whose edge types have sides, and the held-out links of their stores."""

import numpy as np

from hvdtma.graph.raw import RawGraph
from hvdtma.graph.verify import verification
from hvdtma.storage.node_ids import NodeIds


def between(src, dst, number, seed=0):
    """Distinct random pairs of two groups of nodes; the first ones cover both groups."""
    rng = np.random.default_rng(seed)
    ends = np.stack([rng.choice(src, number), rng.choice(dst, number)])
    cover = np.arange(max(len(src), len(dst)))
    covering = np.stack([src[cover % len(src)], dst[cover % len(dst)]])
    return np.unique(np.concatenate([covering, ends], axis=1), axis=1)


def graph_of(edges, *, undirected=False, types=(), nodes=110, **fields):
    """A graph of arrays [2, E], one per edge type, in a random order of edges."""
    src, dst = np.concatenate(edges, axis=1)
    kind = np.repeat(np.arange(len(edges)), [pairs.shape[1] for pairs in edges])
    order = np.random.default_rng(9).permutation(len(src))
    return RawGraph(
        src[order],
        dst[order],
        NodeIds.counted(nodes),
        undirected=undirected,
        edge_type=kind[order].astype(np.int16) if types else None,
        edge_type_names=list(types),
        feat=np.random.default_rng(0).normal(size=(nodes, 3)).astype(np.float32),
        **fields,
    )


def held_out(store):
    """The held-out links of both parts by id: source, destination, negatives and type."""
    ids = np.array(store.node_ids().to_list())
    for part in ("valid", "test"):
        pairs = store.links(part)
        types = np.zeros(len(pairs), int) if pairs.edge_type is None else pairs.edge_type
        yield from zip(ids[pairs.src], ids[pairs.dst], ids[pairs.neg], types, strict=True)


def is_sound(store):
    """Whether `verify` finds nothing wrong."""
    return all(problem is None for _, problem in verification(store))
