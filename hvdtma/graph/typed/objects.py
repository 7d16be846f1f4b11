"""A typed store as an object of another framework: a PyG `HeteroData`, a DGL heterograph.

`from_pyg` and `from_dgl` read it back. The nodes of a type have their own numbers. Splits, ids and
names travel beside the graph, in the attribute `hvdtma`, as those of untyped stores do; there nodes
are numbered type by type.

Legend: N_t nodes of a type, E_r edges of a type, D features, Q nodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from hvdtma.graph.framework_objects import (
    BESIDE,
    FACTS,
    NAMED,
    PARTS,
    WholeGraph,
    shown_labels,
)
from hvdtma.graph.typed.layout import NodeLayout
from hvdtma.graph.typed.schema import DEGREES, EdgeType, GraphSchema
from hvdtma.storage.node_ids import NodeIds

ENDS = ("src", "dst", "neg", "node")  # fields of a split that are nodes


class WholeTypedGraph(WholeGraph, Protocol):
    """What is read of a `GraphStore`."""

    @property
    def schema(self) -> GraphSchema | None: ...
    @property
    def layout(self) -> NodeLayout: ...


class TypeByType:
    """A typed store whose nodes are numbered type by type, as in a `TypedGraph`."""

    def __init__(self, store: WholeTypedGraph):
        assert store.schema is not None
        self.store, self.schema = store, store.schema
        sizes = np.array(self.schema.sizes, np.int64)
        self.first = np.cumsum(sizes) - sizes

    def nodes(self, node_type: int) -> np.ndarray:
        """The store's numbers int64 [N_t] of the nodes of a type."""
        return self.store.layout.nodes(node_type, np.arange(self.schema.sizes[node_type]))

    def numbers(self, nodes: np.ndarray) -> np.ndarray:
        """The numbers type by type, int64, of nodes in the store's numbers."""
        types, own = self.store.layout.types_and_own(nodes.astype(np.int64).ravel())
        return (self.first[types] + own).reshape(nodes.shape)

    def ids(self, node_type: int) -> NodeIds:
        """The ids of the nodes of a type."""
        return self.store.node_ids().take(self.nodes(node_type))

    def features(self, node_type: int) -> np.ndarray | None:
        """The features [N_t, D] of a type; None for degrees, which are made anew when read back."""
        if self.schema.features[node_type] == DEGREES:
            return None
        return self.store.read(f"feat/{node_type}")

    def edges(self) -> Iterator[tuple[EdgeType, np.ndarray, np.ndarray]]:
        """Each edge type with its ends int64 [E_r], by their numbers within types."""
        rows, layout = self.store.rows(0, self.store.num_nodes), self.store.layout
        assert rows.edge_type is not None
        destinations = rows.destinations().astype(np.int64)
        for number, (kind, (src, dst)) in enumerate(
            zip(self.schema.edge_types, self.schema.ends.tolist(), strict=True)
        ):
            here = np.flatnonzero(rows.edge_type == number)
            source = layout.own(src, rows.indices[here].astype(np.int64))
            yield kind, source, layout.own(dst, destinations[here])

    def node_data(self, label: str) -> dict[str, np.ndarray]:
        """Labels and masks of the node type that has them."""
        if self.schema.label_type is None:
            return {}
        node_type = self.schema.node_types.index(self.schema.label_type)
        nodes, found = self.nodes(node_type), {}
        if "label" in self.store:
            found[label] = shown_labels(self.store.read("label")[nodes], self.store.label_kind)
        for part, short in PARTS.items():
            if f"split/{part}/node" in self.store:
                found[f"{short}_mask"] = np.isin(nodes, self.store.read(f"split/{part}/node"))
        return found

    def beside(self) -> dict[str, np.ndarray]:
        """Ids, splits, and names as JSON."""
        facts = {name: getattr(self.store, name) for name in NAMED}
        facts["schema"] = self.schema.as_attrs()
        ids = NodeIds(pa.concat_arrays([self.ids(t).values for t in range(len(self.first))]))
        arrays = {f"node_id/{name}": values for name, values in ids.as_arrays().items()}
        for name in self.store.array_names:
            if name.startswith("split/"):
                values = self.store.read(name)
                arrays[name] = self.numbers(values) if name.rsplit("/", 1)[1] in ENDS else values
        return {FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays}


def to_hetero_pyg(store: WholeTypedGraph) -> Any:
    """A PyG `HeteroData`; see `GraphStore.to_pyg`."""
    import torch
    from torch_geometric.data import HeteroData

    graph, data = TypeByType(store), HeteroData()
    for number, name in enumerate(graph.schema.node_types):
        ids, feat = graph.ids(number), graph.features(number)
        data[name].num_nodes = graph.schema.sizes[number]
        data[name].node_id = ids.to_list() if ids.are_strings else torch.tensor(ids.to_list())
        if feat is not None:
            data[name].x = torch.from_numpy(feat)
        if name == graph.schema.label_type:
            for key, values in graph.node_data("y").items():
                data[name][key] = torch.from_numpy(values)
    for kind, src, dst in graph.edges():
        data[tuple(kind)].edge_index = torch.from_numpy(np.stack([src, dst]))
    setattr(data, BESIDE, {name: torch.tensor(values) for name, values in graph.beside().items()})
    return data


def to_hetero_dgl(store: WholeTypedGraph) -> Any:
    """A DGL heterograph; see `GraphStore.to_dgl`."""
    import torch

    from hvdtma.core.dgl_import import dgl

    given = TypeByType(store)
    sizes = dict(zip(given.schema.node_types, given.schema.sizes, strict=True))
    edges = {tuple(kind): tuple(map(torch.from_numpy, ends)) for kind, *ends in given.edges()}
    graph = dgl.heterograph(edges, sizes)
    for number, name in enumerate(given.schema.node_types):
        ids, feat = given.ids(number), given.features(number)
        found = {} if feat is None else {"feat": feat}
        if name == given.schema.label_type:
            found |= given.node_data("label")
        if not ids.are_strings:
            found["node_id"] = ids.values.to_numpy().copy()
        for key, values in found.items():
            graph.nodes[name].data[key] = torch.from_numpy(values)
    setattr(graph, BESIDE, {name: torch.tensor(values) for name, values in given.beside().items()})
    return graph
