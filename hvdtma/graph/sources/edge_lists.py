"""Graphs from adjacency matrices and from lists of edges.

Legend: N nodes, E edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources.edge_data import keep_one_direction, times_of, weights_of
from hvdtma.graph.sources.tensors import as_array, as_csr, is_sparse, num_rows
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode_types, ids_of


def from_scipy(
    matrix: Any, *, undirected: bool = False, ids: Sequence | np.ndarray | None = None
) -> RawGraph:
    """A graph from a sparse adjacency matrix [N, N], whose entry (u, v) is an edge from u to v.

    Args:
        matrix: of SciPy; also a sparse tensor of PyTorch, or a matrix of torch_sparse or DGL. Its
            values are the weights of edges, unless all are 1. Stored zeros are no edges; they are
            counted.
        undirected: whether an edge stands for both directions. The matrix may hold a link in one
            direction or, with the same weight, in both.
        ids: integers or strings [N]; None: 0 .. N-1.

    Raises UserError for a matrix that is not square, and for weights that are not positive and
    finite.
    """
    src, dst, weight, zeros = matrix_edges(matrix, "the adjacency matrix")
    raw = RawGraph(
        src,
        dst,
        graph_ids(ids, num_rows(matrix)),
        undirected=undirected,
        origin={"kind": "adjacency"},
        weight=weight,
    )
    raw.counts["zeros_in_adjacency"] = zeros
    keep_one_direction(raw)
    return raw


def matrix_edges(matrix: Any, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int]:
    """Rows and columns int64 [E], weights float32 [E] or None, and the number of stored zeros.

    Raises UserError for another shape than [N, N], and for bad weights.
    """
    if not is_sparse(matrix):
        raise UserError(f"{where} is a {type(matrix).__name__}; valid: a sparse matrix [N, N]")
    found = as_csr(matrix)
    if found.shape[0] != found.shape[1]:
        raise UserError(
            f"{where} has shape {list(found.shape)}; it must be square. For two kinds of nodes "
            "give edges with ids of their own: from_edges([('u1', 'i7'), ...])"
        )
    stored = found.nnz
    found.eliminate_zeros()
    entries = sp.coo_matrix(found)
    src, dst = entries.row.astype(np.int64), entries.col.astype(np.int64)
    if entries.data.dtype == bool or (entries.data == 1).all():
        return src, dst, None, stored - found.nnz
    weight = weights_of(entries.data, len(src), where)
    console.print(
        f"the values of {where}, {weight.min():g} to {weight.max():g}, are the weights of edges"
    )
    return src, dst, weight, stored - found.nnz


def from_edges(
    edges: Any,
    *,
    num_nodes: int | None = None,
    undirected: bool = False,
    ids: Sequence | np.ndarray | None = None,
    weight: Any = None,
    time: Any = None,
    edge_type: Any = None,
) -> RawGraph:
    """A graph from a list of edges.

        hvdtma.build("g.zarr", from_edges([("ann", "bob"), ("bob", "cy")], undirected=True))
        hvdtma.build("g.zarr", from_edges(edge_index, num_nodes=1000))

    Args:
        edges: pairs `[(u, v), ...]`, or an array [E, 2] or [2, E]. The ends are ids, integers or
            strings, which come back as they were given.
        num_nodes: N; the ends are then numbers 0 .. N-1, and a node need not have an edge.
        ids: as `num_nodes`, with an id for each number.
        undirected: whether an edge stands for both directions.
        weight: positive numbers [E].
        time: numbers [E].
        edge_type: integers or strings [E].

    Raises UserError for anything that is no list of pairs, and for data of a wrong length.
    """
    src, dst = _ends(edges)
    if num_nodes is None and ids is None:
        src, dst, node_id = _numbered(src, dst)
    else:
        count = num_nodes if num_nodes is not None else len(ids)  # type: ignore[arg-type]
        src, dst, node_id = whole_numbers(src), whole_numbers(dst), graph_ids(ids, count)
    raw = RawGraph(src, dst, node_id, undirected=undirected, origin={"kind": "edges"})
    if weight is not None:
        raw.weight = weights_of(weight, len(src), "weight")
    if time is not None:
        raw.time = times_of(time, len(src), "time")
    if edge_type is not None:
        raw.edge_type_names, raw.edge_type = edge_types(edge_type, len(src))
    raw.check()
    keep_one_direction(raw)
    return raw


def _ends(edges: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sources and destinations [E], of the dtype that NumPy gives them."""
    is_list = isinstance(edges, list | tuple)
    if is_list and len(edges) == 2 and all(hasattr(end, "ndim") and end.ndim == 1 for end in edges):
        src, dst = (as_array(end) for end in edges)
        if len(src) != len(dst):
            raise UserError(f"{len(src)} sources of edges, but {len(dst)} destinations")
        return src, dst
    if is_list:
        odd = next((e for e in edges if not isinstance(e, str) and _length(e) != 2), None)
        text = next((e for e in edges if isinstance(e, str)), None)
        if odd is not None or text is not None:
            shown = repr(text if odd is None else odd)[:60]
            raise UserError(f"{shown} is no edge; valid: pairs [(u, v), ...]; weight= and time=")
        columns = list(zip(*edges, strict=True)) or [(), ()]
        return _plain(columns[0]), _plain(columns[1])
    array = as_array(edges)
    if array.ndim != 2 or 2 not in array.shape:
        raise UserError(
            f"edges of shape {list(array.shape)}; valid: pairs [(u, v), ...], or an array [E, 2] "
            "or [2, E]"
        )
    if array.shape == (2, 2):
        raise UserError(
            "an array [2, 2] may be two rows of edges or of ends; give pairs: array.tolist() if "
            "each row is an edge, or array.T.tolist()"
        )
    return (array[:, 0], array[:, 1]) if array.shape[1] == 2 else (array[0], array[1])


def _length(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 1


def _plain(ends: Sequence) -> np.ndarray:
    """Ids as integers or as Python objects: NumPy would turn 1 and 'a' into two strings."""
    plain = [end.item() if hasattr(end, "item") else end for end in ends]
    if all(type(end) is int for end in plain):
        return np.array(plain, np.int64)
    found = np.empty(len(plain), object)
    found[:] = plain
    return found


def _numbered(src: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray, NodeIds]:
    """Node numbers of the ends, and the ids in ascending order."""
    ends = [_ids(src), _ids(dst)]
    if len(src) and ends[0].type != ends[1].type:
        raise UserError("some ids of edges are integers and others are strings; valid: one kind")
    coded = pa.concat_arrays(ends).dictionary_encode()
    order = coded.dictionary.sort()
    rank = np.empty(len(order), np.int64)
    rank[pc.index_in(order, value_set=coded.dictionary).to_numpy()] = np.arange(len(order))
    number = rank[coded.indices.to_numpy()]
    return number[: len(src)], number[len(src) :], NodeIds.of(order)


def _ids(ends: np.ndarray) -> pa.Array:
    """Ids as int64 or large_string; raises UserError for others, missing ones and a mixture."""
    try:
        values = pa.array(ends.tolist()) if ends.dtype == object else ends
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"ids of edges are neither all integers nor all strings: {error}") from None
    if isinstance(values, pa.Array) and pa.types.is_null(values.type) and not len(values):
        return pa.array([], pa.int64())
    return ids_of(values, "the list of edges")


def whole_numbers(ends: np.ndarray) -> np.ndarray:
    """Node numbers int64 [E]; raises UserError for other types."""
    if ends.dtype.kind not in "iu":
        raise UserError(f"edges of type {ends.dtype}; with num_nodes the ends are whole numbers")
    return ends.astype(np.int64)


def edge_types(values: Any, num_edges: int) -> tuple[list[str], np.ndarray]:
    """The sorted names of edge types, and indices int16 [E]; raises UserError for others."""
    types = as_array(values)
    if types.shape != (num_edges,) or types.dtype.kind not in "iuUO":
        raise UserError(
            f"edge types of shape {list(types.shape)} and type {types.dtype}; valid: integers or "
            f"strings [{num_edges}]"
        )
    column = pa.array(types.tolist()) if types.dtype.kind in "UO" else pa.array(types)
    names, (codes,) = encode_types([ids_of(column, "edge types")])
    return names, codes


def graph_ids(ids: Sequence | np.ndarray | None, num_nodes: int) -> NodeIds:
    """The ids of N nodes, 0 .. N-1 if none are given.

    Raises UserError for another length or type, and for a repeated id.
    """
    if ids is None:
        return NodeIds.counted(num_nodes)
    found = NodeIds.of(as_array(ids) if hasattr(ids, "detach") else ids)
    if len(found) != num_nodes:
        raise UserError(f"{len(found)} ids for {num_nodes} nodes")
    if len(found.values.unique()) != num_nodes:
        raise UserError("ids hold an id twice; every node has an id of its own")
    return found
