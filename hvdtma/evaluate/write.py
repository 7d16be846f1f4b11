"""Embeddings as a file keyed by the user's own ids. N nodes, H dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress

from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.evaluate.embed import NO_LIMIT, Room, embed
from hvdtma.files import replacing
from hvdtma.graph.store import GraphStore, StoreWriter
from hvdtma.models.encoder import Encoder

ROWS_AT_ONCE = 1 << 16


def write_embeddings(
    encoder: Encoder,
    store: GraphStore,
    out: Path,
    *,
    overwrite: bool = False,
    room: Room = NO_LIMIT,
) -> tuple[int, int]:
    """Embed every node and write `out`; returns (N, H).

    `.parquet`: columns `id` and `embedding` (fixed-size list of float32). `.zarr`: arrays
    `embedding` float32 [N, H] and the ids as in a store (`node_id/...`).

    Raises UserError for another ending, or if `out` exists (unless `overwrite`).
    """
    if out.suffix not in (".parquet", ".zarr"):
        raise UserError(f"'{out}' ends in '{out.suffix}'; valid: .parquet, .zarr")
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; give --overwrite to replace it, or another name")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("embedding", total=1.0)
        h_NH = embed(
            encoder, store, progress=lambda done: bar.update(task, completed=done), room=room
        )
    ids = store.node_ids()
    num_nodes, dim = h_NH.shape
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".zarr":
        with StoreWriter(out, overwrite, format="hvdtma-embeddings") as writer:
            with writer.growing("embedding", np.float32, num_nodes, (dim,)) as array:
                for start in range(0, num_nodes, ROWS_AT_ONCE):
                    array.append(h_NH[start : start + ROWS_AT_ONCE])
            for name, values in ids.as_arrays().items():
                writer.put(f"node_id/{name}", values)
        return num_nodes, dim
    kind = pa.list_(pa.float32(), dim)
    schema = pa.schema([("id", ids.values.type), ("embedding", kind)])
    with replacing(out) as beside, pq.ParquetWriter(beside, schema) as writer:
        for start in range(0, num_nodes, ROWS_AT_ONCE):
            rows = h_NH[start : start + ROWS_AT_ONCE]
            vectors = pa.FixedSizeListArray.from_arrays(rows.reshape(-1), dim)
            piece = [ids.values[start : start + len(rows)], vectors]
            writer.write_table(pa.table(piece, schema=schema))
    return num_nodes, dim
