"""The store: one graph on disk as one Zarr v3 group, opened and read by node range.

Legend: N nodes, E stored edges, D features, B blocks, P parts, K sets of candidates.

    indptr int64 [N+1], indices int32|int64 [E]   training graph, in-edges by destination
    feat float16|float32 [N,D]                    node features
    first_hop float16|float32 [N,D]               mean of the in-neighbours' features (optional)
    block_offsets int64 [B+1]                     first node of each block
    part_offsets int64 [P+1]                      first block of each min-cut part (optional)
    node_id/{values | offsets,utf8}               the user's ids
    label int64 [N] | uint8 [N,C] | float64 [N,T] optional; see `hvdtma.graph.targets`
    edge_type int16 [E]                           optional
    weight float32 [E], in_weight float64 [N]     of each edge, and summed over in-edges (optional)
    candidates uint8 [N,K/8]                      nodes that negatives are drawn from (optional)
    split/{valid,test}/{src,dst,neg,edge_type}    held-out links; the training links are the graph
    split/{train,valid,test}/node                 labelled nodes by part
    projection/{matrix,idf,names/*}               what gives other rows, or the nodes of a later
                                                  graph, the same features (optional; not in the
                                                  store's order, see builder/projection.py)

Nothing half-written is ever read: a store is written in a temporary folder, which is renamed once
the store is complete.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from hvdtma.core.console import warn
from hvdtma.core.errors import UserError
from hvdtma.core.partial import restore
from hvdtma.core.split_parts import HELD_OUT_PARTS
from hvdtma.graph.candidates import CandidateRules, Candidates
from hvdtma.graph.csc import CSC
from hvdtma.graph.source import Pairs
from hvdtma.storage.array_writer import chunk_crcs
from hvdtma.storage.chunks import ChunkReader, DamagedChunk
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.open_group import (
    METADATA,
    NoGroup,
    is_without_digests,
    open_array,
    read_attributes,
)
from hvdtma.storage.writer import FORMAT, FORMAT_VERSION


class GraphStore:
    """A store opened for reading. Arrays are opened on demand, and not kept in memory."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.attrs = _read_attributes(self.path)
        self.group = zarr.open_group(self.path, mode="r")
        self.chunks: dict[str, ChunkReader] = {}

    @property
    def without_digests(self) -> bool:
        """Whether the store is of format version 1: edits and swapped files are not noticed."""
        return is_without_digests(self.attrs)

    def __repr__(self) -> str:
        return f"GraphStore({str(self.path)!r}, {self.num_nodes:,} nodes, {self.num_edges:,} edges)"

    def __contains__(self, name: object) -> bool:
        return name in self.attrs["checksums"]

    @property
    def num_nodes(self) -> int:
        return self.attrs["num_nodes"]

    @property
    def num_edges(self) -> int:
        """Stored edges; an undirected link counts twice, once for each direction."""
        return self.attrs["num_edges"]

    @property
    def undirected(self) -> bool:
        return self.attrs["undirected"]

    @property
    def weighted(self) -> bool:
        """Whether edges have weights."""
        return "weight" in self

    @property
    def feature_dim(self) -> int:
        return self.attrs["feature_dim"]

    @property
    def features(self) -> dict[str, Any] | None:
        """The meaning of the features: their kind, D, and a fingerprint of the projection.

        The fingerprint is None for features as given without names. None for a store of a version
        that kept no projection.
        """
        return self.attrs.get("features")

    @property
    def feature_dtype(self) -> np.dtype:
        return self.array("feat").dtype

    @property
    def edges_inside(self) -> float:
        """The share of edges within super-nodes or parts, which assignments keep together."""
        order = self.attrs["order"]
        return order.get("edges_in_super_nodes", order.get("edges_in_parts", 0.0))

    @property
    def held_out(self) -> dict[str, tuple[int, int]]:
        """For `valid` and `test`: the number of links, and of negatives per link."""
        counts = {}
        for part in HELD_OUT_PARTS:
            if f"split/{part}/src" in self:
                neg = f"split/{part}/neg"
                negatives = self.array(neg).shape[1] if neg in self else 0
                counts[part] = (self.array(f"split/{part}/src").shape[0], negatives)
        return counts

    @property
    def graph(self) -> str:
        """The identity of the graph with its split; partitioning does not change it."""
        return self.attrs["graph"]

    @property
    def order(self) -> str:
        """The identity of the order of nodes and of their blocks, which partitioning changes."""
        checksums = self.attrs["checksums"]
        return " ".join(checksums[name] for name in ("indptr", "block_offsets"))

    @property
    def label_names(self) -> list[str]:
        return self.attrs["label_names"]

    @property
    def label_kind(self) -> str:
        """`class`, `multi` or `real`; see `hvdtma.graph.targets`."""
        return self.attrs.get("label_kind", "class")  # old stores have classes only

    @property
    def held_out_nodes(self) -> dict[str, int]:
        """For `valid` and `test`: the number of labelled nodes."""
        names = {part: f"split/{part}/node" for part in HELD_OUT_PARTS}
        return {part: self.array(name).shape[0] for part, name in names.items() if name in self}

    @property
    def edge_type_names(self) -> list[str]:
        return self.attrs["edge_type_names"]

    @cached_property
    def candidate_rules(self) -> CandidateRules:
        """The sets of nodes that negatives of each edge type are drawn from."""
        return CandidateRules.of_attrs(self.attrs)

    @property
    def num_blocks(self) -> int:
        return len(self.block_offsets) - 1

    @cached_property
    def block_offsets(self) -> np.ndarray:
        return self.read("block_offsets")

    @cached_property
    def part_offsets(self) -> np.ndarray | None:
        return self.read("part_offsets") if "part_offsets" in self else None

    def array(self, name: str) -> zarr.Array:
        """An array of the store; raises UserError if its metadata is damaged."""
        metadata = None if self.without_digests else self.attrs["metadata"][name]
        return open_array(self.path, self.group, name, metadata)

    def read(
        self, name: str, start: int = 0, stop: int | None = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Rows start:stop of an array, read into `out` if given; thread-safe.

        Raises UserError for an unknown array, and for a damaged or missing chunk.
        """
        if name not in self:
            raise UserError(f"{self.path} has no '{name}'; it has: {', '.join(self.array_names)}")
        try:
            chunks = self.reader(name)
            stop = chunks.shape[0] if stop is None else min(stop, chunks.shape[0])
            return chunks.read(start, stop, out)
        except (DamagedChunk, ValueError, RuntimeError, KeyError, OSError) as error:
            raise UserError(
                f"{self.path}: array '{name}', rows from {start}, cannot be read: {error}. "
                f"Find the damage with: hvdtma verify {self.path}"
            ) from error

    def reader(self, name: str) -> ChunkReader:
        """A reader of row ranges of an array, without Zarr; it raises DamagedChunk."""
        chunks = self.chunks.get(name)
        if chunks is None:
            crcs = None
            if not self.without_digests:
                crcs = chunk_crcs(self.attrs["chunk_crcs"][name])
            chunks = self.chunks[name] = ChunkReader(self.path / name, self.array(name), crcs)
        return chunks

    @property
    def array_names(self) -> list[str]:
        return sorted(self.attrs["checksums"])

    def rows(self, start: int, stop: int) -> CSC:
        """The in-edges of nodes start:stop; indptr begins at 0, indices are global."""
        indptr = self.read("indptr", start, stop + 1)
        first, last = int(indptr[0]), int(indptr[-1])
        types = self.read("edge_type", first, last) if "edge_type" in self else None
        weight = self.read("weight", first, last) if self.weighted else None
        return CSC(indptr - indptr[0], self.read("indices", first, last), types, weight)

    def node_ids(self, start: int = 0, stop: int | None = None) -> NodeIds:
        """The ids of nodes start:stop."""
        if "node_id/values" in self:
            return NodeIds.from_arrays({"values": self.read("node_id/values", start, stop)})
        offsets = self.read("node_id/offsets", start, None if stop is None else stop + 1)
        utf8 = self.read("node_id/utf8", int(offsets[0]), int(offsets[-1]))
        return NodeIds.from_arrays({"offsets": offsets - offsets[0], "utf8": utf8})

    def links(self, part: str) -> Pairs | None:
        """The held-out links of `valid` or `test`; None without links."""
        if f"split/{part}/src" not in self:
            return None
        fields = {
            name: self.read(f"split/{part}/{name}")
            for name in ("src", "dst", "neg", "edge_type")
            if f"split/{part}/{name}" in self
        }
        return Pairs(**fields)

    def candidates(self) -> Candidates:
        """The nodes that negatives are drawn from."""
        if "candidates" not in self:
            return Candidates(self.candidate_rules, np.zeros((self.num_nodes, 0), np.uint8))
        return Candidates(self.candidate_rules, self.read("candidates"))

    def labelled_nodes(self, part: str) -> np.ndarray | None:
        """The labelled nodes of `train`, `valid` or `test`, int64; None without a node split."""
        name = f"split/{part}/node"
        return self.read(name) if name in self else None

    def to_pyg(self) -> Any:
        """The training graph as a PyG `Data`, in memory, in the order of the store.

        `x`, `y`, `edge_index` (of an undirected graph in both directions), `edge_type` and
        `edge_weight` if there are any, masks of a split of nodes, held-out links as
        `val_pos_edge_index` and `test_pos_edge_index`, and the ids as `node_id`. `from_pyg` reads
        all of it back, with the negatives of held-out links and the names of labels and types; the
        projection of the features stays behind.
        """
        from hvdtma.graph.framework_objects import to_pyg  # PyG is optional

        return to_pyg(self)

    def to_dgl(self) -> Any:
        """The training graph as a DGLGraph, in memory, in the order of the store.

        In `ndata` `feat`, `label`, masks of a split of nodes and integer ids as `node_id`; in
        `edata` `etype` and `weight` if there are any. Held-out links, ids and names are in the
        attribute `hvdtma`, a dict of tensors, by which `from_dgl` reads all of it back. DGL's files
        do not keep it: save it with the graph, as `hvdtma export --to dgl` does.
        """
        from hvdtma.graph.framework_objects import to_dgl  # DGL takes a second to import

        return to_dgl(self)


def _read_attributes(path: Path) -> dict[str, Any]:
    restore(path)
    if not path.exists():
        raise UserError(f"no store at {path}; make one with: hvdtma build {path} SOURCE")
    try:
        attrs = read_attributes(path)
    except NoGroup as error:
        raise UserError(f"{path} is not a graph store: {error}") from error
    if attrs.get("format") != FORMAT:
        raise UserError(f"{path} is a Zarr group, but not one that 'hvdtma build' wrote")
    version = attrs["format_version"]
    if is_without_digests(attrs):
        _note_version_1(path.absolute())
    elif version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}; this hvdtma reads 1 and {FORMAT_VERSION}: "
            "upgrade hvdtma, or build the store again"
        )
    lost = [
        f"array '{name}'" for name in attrs["checksums"] if not (path / name / METADATA).is_file()
    ]
    if lost:
        raise UserError(f"{path} is damaged: it lacks {', '.join(lost)}; build it again")
    return attrs


@cache
def _note_version_1(path: Path) -> None:
    """Say once that damage of a store may stay unnoticed."""
    warn(
        f"{path} has format version 1: edited attributes and swapped files are not noticed when "
        "it is read. Check it with hvdtma verify; hvdtma partition writes it in version "
        f"{FORMAT_VERSION}, in another order"
    )


def open_store(path: str | Path) -> GraphStore:
    """Open a store for reading; raises UserError if `path` is not a store of this version."""
    return GraphStore(path)
