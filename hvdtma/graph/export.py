"""Write a store for other tools: a PyG `Data`, a DGLGraph, or Parquet tables.

Legend: N nodes, E edges, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.files import replacing, replacing_folder, reporting_full_disk
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.framework_objects import BESIDE
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import edge_batches
from hvdtma.tables.write import write_table

FORMS = ("pyg", "dgl", "parquet")
NODES_AT_ONCE = 1 << 16


def export(store: GraphStore, out: Path, form: str, *, overwrite: bool = False) -> Path:
    """Write a store in another form.

    `pyg`: a file for `torch.load(out, weights_only=False)`. `dgl`: a file for `dgl.load_graphs`,
    whose second result goes to `from_dgl(graphs[0], beside=...)`. Both need the graph in memory.
    `parquet`: a folder with `edges.parquet` (both ends, type, weight, and the split: the edges of
    train are the training graph) and `nodes.parquet` (id, features, labels, split), read in pieces.

    Raises UserError for another form, and if `out` exists.
    """
    if form not in FORMS:
        raise UserError(f"the form is '{form}'; {nearest(form, list(FORMS))}")
    if out.exists():
        if not overwrite:
            raise UserError(f"{out} exists; give --overwrite to replace it, or another name")
        if out.is_dir() != (form == "parquet") or (out.is_dir() and not _is_export(out)):
            raise UserError(f"{out} is no export of this form; --overwrite will not remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with reporting_full_disk(out):
        {"pyg": _write_pyg, "dgl": _write_dgl, "parquet": _write_parquet}[form](store, out)
    return out


def _is_export(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {"edges.parquet", "nodes.parquet"}


def _write_pyg(store: GraphStore, out: Path) -> None:
    import torch

    data = store.to_pyg()
    with replacing(out) as temporary:
        torch.save(data, temporary)


def _write_dgl(store: GraphStore, out: Path) -> None:
    from hvdtma.core.dgl_import import dgl

    graph = store.to_dgl()
    with replacing(out) as temporary:
        dgl.save_graphs(str(temporary), [graph], getattr(graph, BESIDE))


def _write_parquet(store: GraphStore, out: Path) -> None:
    with replacing_folder(out) as folder:
        write_table(folder / "edges.parquet", _edges(store))
        write_table(folder / "nodes.parquet", _nodes(store))


def _edges(store: GraphStore) -> Iterator[pa.Table]:
    """The edges with ids, an undirected link once, then the held-out links."""
    ids, names = store.node_ids(), pa.array(store.edge_type_names, pa.string())

    def table(
        part: str,
        src: np.ndarray,
        dst: np.ndarray,
        types: np.ndarray | None,
        weight: np.ndarray | None,
    ) -> pa.Table:
        columns = {"src": ids.take(src).values, "dst": ids.take(dst).values}
        if types is not None:
            columns["type"] = names.take(pa.array(types))
        if store.weighted:
            columns["weight"] = (
                pa.nulls(len(src), pa.float32()) if weight is None else pa.array(weight)
            )
        return pa.table({**columns, "split": pa.array([part] * len(src), pa.string())})

    for read in edge_batches(store, weights=True):
        edges = read()
        if store.undirected:
            edges = edges.take(np.flatnonzero(edges.src <= edges.dst))
        yield table("train", edges.src, edges.dst, edges.types, edges.weight)
    for part in HELD_OUT_PARTS:
        links = store.links(part)
        if links is not None:
            yield table(part, links.src, links.dst, links.edge_type, None)


def _nodes(store: GraphStore) -> Iterator[pa.Table]:
    """The nodes with features, labels and the part of their split."""
    part_N = np.full(store.num_nodes, -1, np.int8)
    for number, part in enumerate(PARTS):
        chosen = store.labelled_nodes(part)
        if chosen is not None:
            part_N[chosen] = number
    parts = pa.array(PARTS)
    for start in range(0, store.num_nodes, NODES_AT_ONCE):
        stop = min(start + NODES_AT_ONCE, store.num_nodes)
        feat_nD = store.read("feat", start, stop).astype(np.float32)
        columns = {
            "id": store.node_ids(start, stop).values,
            "feat": pa.FixedSizeListArray.from_arrays(feat_nD.reshape(-1), feat_nD.shape[1]),
        }
        if "label" in store:
            columns |= _labels(store, store.read("label", start, stop))
        if (part_N >= 0).any():
            part_n = part_N[start:stop]
            columns["split"] = parts.take(pa.array(part_n, mask=part_n < 0))
        yield pa.table(columns)


def _labels(store: GraphStore, label_n: np.ndarray) -> dict[str, pa.Array]:
    """`label`, the class; or `label_NAME` of each label or target. Null: unknown."""
    names = store.label_names
    if store.label_kind == "class":
        classes = pa.array(names, pa.string())
        return {"label": classes.take(pa.array(label_n, mask=label_n < 0))}
    unknown = np.isnan(label_n) if store.label_kind == "real" else label_n == 255
    return {
        f"label_{name}": pa.array(label_n[:, at], mask=unknown[:, at])
        for at, name in enumerate(names)
    }
