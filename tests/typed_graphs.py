"""Small typed graphs to test on, and slow but plain ways to look at them.

Legend: N nodes of a type, E edges of a type.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.store import GraphStore
from hvdtma.graph.typed.schema import EdgeType
from hvdtma.graph.typed.source import NodesOfType, TypedGraph
from hvdtma.storage.node_ids import NodeIds

BUYS = EdgeType("üser", "buys", "item")
LIKES = EdgeType("üser", "likes", "item")
FOLLOWS = EdgeType("üser", "follows", "üser")
IN = EdgeType("item", "is in", "shop/1")


def shop_graph(
    users: int = 120, items: int = 80, seed: int = 0, reverse: bool = True
) -> TypedGraph:
    """Users with 5 features, items with 40 sparse ones, shops with none; ids repeat by type."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.integers(0, 4, users), rng.integers(0, 4, items)

    def bought(edges: int) -> tuple[np.ndarray, np.ndarray]:
        user = rng.integers(0, users, edges)
        item = rng.integers(0, items, 8 * edges).reshape(edges, 8)
        same = kind[item] == taste[user][:, None]
        return user, item[np.arange(edges), same.argmax(1)]

    follower = rng.integers(0, users, 3 * users)
    others = rng.integers(0, users, (3 * users, 8))
    same = (taste[others] == taste[follower][:, None]).argmax(1)
    shop = kind + 2 * (rng.random(items) < 0.2)
    feat = np.eye(5, dtype=np.float32)[taste] + 0.1 * rng.random((users, 5), np.float32)
    feat[:, 4] = np.arange(users) / users
    words = sp.random(items, 40, 0.2, format="csr", random_state=seed, dtype=np.float32)
    words = sp.csr_matrix(words + sp.csr_matrix(np.eye(40, dtype=np.float32)[kind]))
    label = np.full(users + items + 6, -1)
    label[users : users + items] = kind
    return TypedGraph(
        {
            "üser": NodesOfType(NodeIds.of(rng.permutation(users) - 5), feat),
            "item": NodesOfType(NodeIds.of(np.arange(items)), words),
            "shop/1": NodesOfType(NodeIds.of(np.arange(6))),
        },
        {
            BUYS: bought(6 * users),
            LIKES: bought(2 * users),
            FOLLOWS: (follower, others[np.arange(len(others)), same]),
            IN: (np.arange(items), shop),
        },
        add_reverse=reverse,
        label=label,
        label_names=["a", "b", "c", "d"],
        label_type="item",
    )


def shop_store(path: Path, graph: TypedGraph | None = None, **options: object) -> GraphStore:
    """A store with small blocks, some of which lack a type."""
    settings = {"block_nodes": 16, "negatives": 20, "feature_dim": 8} | options
    return build(path, graph or shop_graph(), BuildOptions(**settings))


def own_ids(store: GraphStore) -> list[tuple[str, object]]:
    """The type and the id of every node."""
    assert store.schema is not None
    types, _ = store.layout.types_and_own(np.arange(store.num_nodes))
    names = [store.schema.node_types[number] for number in types]
    return list(zip(names, store.node_ids().to_list(), strict=True))


def edges_in(store: GraphStore) -> Counter:
    """Every training edge as (source, edge type, destination), ends by type and id."""
    ids, csc = own_ids(store), store.rows(0, store.num_nodes)
    names = store.edge_type_names
    ends = zip(csc.indices, csc.edge_type, csc.destinations(), strict=True)
    return Counter((ids[src], names[kind], ids[dst]) for src, kind, dst in ends)


def edges_given(graph: TypedGraph) -> set:
    """The distinct edges of a source in the same form, with those in the other direction."""
    found = set()
    for kind, ends in graph.edges.items():
        ids = [graph.nodes[end].ids.to_list() for end in (kind.src, kind.dst)]
        for src, dst in zip(*ends, strict=True):
            one, other = (kind.src, ids[0][src]), (kind.dst, ids[1][dst])
            if one == other:
                continue
            found.add((one, str(kind), other))
            if graph.add_reverse:
                found.add((other, str(kind.reverse), one))
    return found
