"""Write the ids, the labels and the node split of a source in the store's order.

Legend: N nodes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hvdtma.core.console import stage
from hvdtma.core.errors import UserError
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.builder.node_split import complete_node_split
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.source import Source
from hvdtma.graph.splits import hold_out_nodes
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

IDS_PER_PIECE = 1 << 18


def write_nodes(
    writer: StoreWriter,
    source: Source,
    order_N: np.ndarray,
    options: BuildOptions,
    block_nodes: int,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Write ids, labels and the split of labelled nodes; return counts for the build's report."""
    num_nodes = source.num_nodes
    with stage("ids and labels"):
        write_ids(writer, source.node_id, order_N)
        label = source.label
        if label is None and options.hold_out == "nodes":
            raise UserError("holding out nodes needs labels: give --labels")
        if label is not None:
            chunk_rows = rows_per_chunk(block_nodes, label.itemsize)
            with writer.create_array("label", np.int64, num_nodes, chunk_rows=chunk_rows) as array:
                for nodes in in_store_order(num_nodes, order_N, IDS_PER_PIECE):
                    array.append(label[nodes])
        split, counts = _node_split(source, label, options, rng)
        for part, nodes in split.items():
            if len(order_N):
                mask_N = np.zeros(num_nodes, bool)
                mask_N[nodes] = True
                nodes = np.flatnonzero(mask_N[order_N])
            writer.put(f"split/{part}/node", nodes)
    return counts


def write_ids(writer: StoreWriter, ids: NodeIds, order_N: np.ndarray) -> None:
    """Write the user's ids in the store's order, in pieces."""
    num_nodes = len(ids)
    pieces = (ids.take(nodes) for nodes in in_store_order(num_nodes, order_N, IDS_PER_PIECE))
    if not ids.are_strings:
        with writer.create_array("node_id/values", np.int64, num_nodes) as values:
            for piece in pieces:
                values.append(piece.as_arrays()["values"])
        return
    with (
        writer.create_array("node_id/offsets", np.int64, num_nodes + 1) as offsets,
        writer.create_array("node_id/utf8", np.uint8, ids.num_bytes) as utf8,
    ):
        offsets.append(np.zeros(1, np.int64))
        for piece in pieces:
            arrays = piece.as_arrays()
            offsets.append(utf8.num_rows + arrays["offsets"][1:])
            utf8.append(arrays["utf8"])


def in_store_order(num_nodes: int, order_N: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """The source's nodes in the store's order, `step` at a time; an empty order keeps theirs."""
    for start in range(0, num_nodes, step):
        stop = min(start + step, num_nodes)
        yield order_N[start:stop] if len(order_N) else np.arange(start, stop)


def _node_split(
    source: Source, label: np.ndarray | None, options: BuildOptions, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The nodes of each part, and counts of nodes that were drawn for a given split."""
    if source.node_split is not None:
        if label is None:  # nothing to train on: no part is drawn
            return source.node_split, {}
        return complete_node_split(source.node_split, label >= 0, options.valid, options.test, rng)
    if label is None:
        return {}, {}
    if options.hold_out == "links":  # labelled nodes are split as well, if each part gets some
        smallest = min(options.valid, options.test)
        if max(options.valid, options.test) >= 1 or smallest * (label >= 0).sum() < 1:
            return {}, {}
    return hold_out_nodes(label, options.valid, options.test, rng), {}
