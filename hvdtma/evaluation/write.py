"""Writes embeddings to a file, with the user's own node ids.

Legend: N nodes, H width of the embeddings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress

from hvdtma.core.console import console
from hvdtma.core.files import replacing, reporting_full_disk
from hvdtma.evaluation.embed import NO_LIMIT, ScoringBudget, embed
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import Rows
from hvdtma.graph.stream import array_pieces
from hvdtma.storage.writer import StoreWriter, refuse_existing
from hvdtma.tables.write import check_output, write_table
from hvdtma.tasks import Model

ROWS_AT_ONCE = 1 << 16
ENDINGS = (".parquet", ".npy", ".zarr")


def write_embeddings(
    model: Model,
    store: GraphStore,
    out: Path,
    *,
    overwrite: bool = False,
    budget: ScoringBudget = NO_LIMIT,
) -> tuple[int, int]:
    """Embed every node and write the file `out`. Returns (N, H).

    A `.parquet` file has the columns `id` and `embedding` (fixed-size list of float32). A `.npy`
    file has the array float32 [N, H]; the ids of its rows are beside it, in the column `id` of
    `NAME.ids.parquet`, for NumPy has no good form for text. A `.zarr` group has the arrays
    `embedding` float32 [N, H] and, as in a store, `node_id/...`. Of a typed graph, the type of each
    node is the column `type`, or the array `node_type` int16 [N] of numbers in the attribute
    `node_types`.

    Raises UserError for another file extension, if `out` exists (without `overwrite`), and for a
    full disk.
    """
    check_output(out, overwrite=overwrite, endings=ENDINGS)
    if out.suffix == ".zarr":
        refuse_existing(out, overwrite)
    if out.suffix == ".npy":
        check_output(ids_beside(out), overwrite=overwrite)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("embedding", total=1.0)
        h_NH = embed(
            model, store, progress=lambda done: bar.update(task, completed=done), budget=budget
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write = {".zarr": _write_zarr, ".npy": _write_npy, ".parquet": _write_parquet}[out.suffix]
    write(h_NH, store, out, overwrite)
    return h_NH.shape[0], h_NH.shape[1]


def ids_beside(out: Path) -> Path:
    """The file of the ids of a `.npy` file's rows."""
    return out.with_suffix(".ids.parquet")


def _write_npy(h_NH: Rows, store: GraphStore, out: Path, overwrite: bool) -> None:
    num_nodes, _ = h_NH.shape
    ids = (
        pa.table({"id": store.node_ids(start, min(start + ROWS_AT_ONCE, num_nodes)).values})
        for start in range(0, num_nodes, ROWS_AT_ONCE)
    )
    write_table(ids_beside(out), ids, overwrite=overwrite)
    with reporting_full_disk(out), replacing(out) as temporary:
        header = {"descr": "<f4", "fortran_order": False, "shape": h_NH.shape}
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            for start in range(0, num_nodes, ROWS_AT_ONCE):
                rows = np.ascontiguousarray(h_NH[start : start + ROWS_AT_ONCE], "<f4")
                file.write(rows.tobytes())


def _write_zarr(h_NH: Rows, store: GraphStore, out: Path, overwrite: bool) -> None:
    num_nodes, dim = h_NH.shape
    with StoreWriter(out, overwrite, format="hvdtma-embeddings") as writer:
        with writer.create_array("embedding", np.float32, num_nodes, (dim,)) as array:
            for start in range(0, num_nodes, ROWS_AT_ONCE):
                array.append(h_NH[start : start + ROWS_AT_ONCE])
        if store.schema is not None:
            writer.attrs["node_types"] = list(store.schema.node_types)
            with writer.create_array("node_type", np.int16, num_nodes) as array:
                for types in store.layout.type_pieces():
                    array.append(types)
        for name in store.array_names:
            if name.startswith("node_id/"):
                stored = store.array(name)
                with writer.create_array(name, stored.dtype, stored.shape[0]) as array:
                    for values in array_pieces(store, name):
                        array.append(values)


def _write_parquet(h_NH: Rows, store: GraphStore, out: Path, overwrite: bool) -> None:
    num_nodes, dim = h_NH.shape
    fields = [("id", store.node_ids(0, 0).values.type), ("embedding", pa.list_(pa.float32(), dim))]
    if store.schema is not None:
        fields.insert(0, ("type", pa.string()))
    schema = pa.schema(fields)
    with (
        reporting_full_disk(out),
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema) as writer,
    ):
        for start in range(0, num_nodes, ROWS_AT_ONCE):
            rows = h_NH[start : start + ROWS_AT_ONCE]
            vectors = pa.FixedSizeListArray.from_arrays(rows.reshape(-1), dim)
            ids = store.node_ids(start, start + len(rows)).values
            columns = [ids, vectors]
            if store.schema is not None:
                columns.insert(0, _types(store, start, start + len(rows)))
            writer.write_table(pa.table(columns, schema=schema))


def _types(store: GraphStore, start: int, stop: int) -> pa.Array:
    """The names of the types of nodes start:stop."""
    assert store.schema is not None
    types, _ = store.layout.types_and_own(np.arange(start, stop))
    return pa.array(np.array(store.schema.node_types, object)[types], pa.string())
