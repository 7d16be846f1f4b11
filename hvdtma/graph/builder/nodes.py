"""Write the ids, the labels and the node split of a source in the store's order.

Legend: N nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.markup import escape

from hvdtma.core.console import console, stage
from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.builder.node_split import complete_node_split
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.label_statistics import LabelStatistics
from hvdtma.graph.source import Source, node_time_of
from hvdtma.graph.splits import hold_out_nodes
from hvdtma.graph.targets import (
    check_targets,
    has_label,
    kind_of,
    label_row_bytes,
    label_rows,
    row_shape,
    stored_dtype,
    stored_form,
)
from hvdtma.graph.time_cuts import nodes_by_time
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
        label, kind = source.label, kind_of(source)
        if label is None and options.hold_out == "nodes":
            raise UserError("holding out nodes needs labels: give --labels")
        if label is not None:
            check_targets(label, kind, source.label_names, num_nodes)
            _write_labels(writer, label, kind, source.label_names, order_N, block_nodes)
        if options.split == "time":
            parts, counts = _split_by_time(writer, source, label, kind, options)
        else:
            parts, counts = _node_split(source, label, kind, options, rng)
        for part, nodes in parts.items():
            if part == PARTS[0] and label is not None:
                statistics = _statistics(label, kind, nodes, len(source.label_names))
                writer.attrs["training_labels"] = statistics.as_attribute()
            if len(order_N):
                mask_N = np.zeros(num_nodes, bool)
                mask_N[nodes] = True
                nodes = np.flatnonzero(mask_N[order_N])
            writer.put(f"split/{part}/node", nodes)
    return counts


def _write_labels(
    writer: StoreWriter,
    label: np.ndarray,
    kind: str,
    names: Sequence[str],
    order_N: np.ndarray,
    block_nodes: int,
) -> None:
    """Write labels, and print what looks wrong with them."""
    num_nodes, statistics = len(label), LabelStatistics(kind, len(names))
    chunk_rows = rows_per_chunk(block_nodes, label_row_bytes(kind, len(names)))
    dtype, shape = stored_dtype(kind), row_shape(kind, len(names))
    with writer.create_array("label", dtype, num_nodes, shape, chunk_rows=chunk_rows) as array:
        for rows in label_rows(num_nodes, shape):
            label_n = stored_form(label[order_N[rows] if len(order_N) else rows], kind)
            statistics.add(label_n)
            array.append(label_n)
    for warning in statistics.warnings(names):
        console.print(f"[yellow]labels: {escape(warning)}", soft_wrap=True)


def _statistics(label: np.ndarray, kind: str, nodes: np.ndarray, num_names: int) -> LabelStatistics:
    """The statistics of some nodes' labels, in pieces."""
    labels = (label[nodes[rows]] for rows in label_rows(len(nodes), label.shape[1:]))
    return LabelStatistics.of(labels, kind, num_names)


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


def _split_by_time(
    writer: StoreWriter,
    source: Source,
    label: np.ndarray | None,
    kind: str,
    options: BuildOptions,
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The labelled nodes by part, and counts; no nodes are held out beside links."""
    time_N = node_time_of(source)
    if options.hold_out == "links" or label is None or time_N is None:
        return {}, {}
    labelled = np.flatnonzero(has_label(label, kind))
    parts, cuts = nodes_by_time(labelled, time_N, options.valid, options.test)
    writer.attrs["times"] = cuts.as_attribute("labelled nodes")
    without = len(labelled) - sum(map(len, parts.values()))
    return parts, {
        "labelled_nodes_without_time_in_no_part": without,
        "held_out_nodes_added_for_equal_times": cuts.num_tied,
    }


def _node_split(
    source: Source,
    label: np.ndarray | None,
    kind: str,
    options: BuildOptions,
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The nodes of each part, and counts of nodes that were drawn for a given split."""
    if source.node_split is not None:
        if label is None:  # nothing to train on: no part is drawn
            return source.node_split, {}
        labelled_N = has_label(label, kind)
        return complete_node_split(source.node_split, labelled_N, options.valid, options.test, rng)
    if label is None:
        return {}, {}
    labelled_N = has_label(label, kind)
    if options.hold_out == "links":  # labelled nodes are split as well, if each part gets some
        smallest = min(options.valid, options.test)
        if max(options.valid, options.test) >= 1 or smallest * labelled_N.sum() < 1:
            return {}, {}
    return hold_out_nodes(labelled_N, options.valid, options.test, rng), {}
