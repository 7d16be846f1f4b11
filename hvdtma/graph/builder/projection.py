"""The meaning of a store's features, kept with the store so that another one can have the same.

Features are as given, reduced by an SVD, or made from the graph. The last two lie on axes that
belong to the store; its projection puts other rows, or other nodes, on the same axes.

Legend: N nodes, D features, R rows of the projection (given features, or nodes of the graph).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from hvdtma.core.digests import digest_of
from hvdtma.graph.store import GraphStore
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

FOLDER = "projection"
PLACE_BYTES = 16  # per node that is placed by its neighbours: its row, in two orders
LOOKUP_BYTES = 32  # per id that is looked up


@dataclass(frozen=True)
class Projection:
    """A map from rows to the features of a store.

    Attributes:
        kind: `given`, `svd` (reduced from given features) or `graph` (made from the graph).
        dim: D.
        names: the names of the given features [R], or the ids of the nodes [R]; None: not known.
        matrix_RD: float32; None for features as given.
        idf_R: float32 weights of counts, of TF-IDF; None without.
    """

    kind: str
    dim: int
    names: NodeIds | None = None
    matrix_RD: np.ndarray | None = None
    idf_R: np.ndarray | None = None

    def write(self, writer: StoreWriter) -> None:
        """Write the arrays, and the attribute `features`."""
        if self.matrix_RD is not None:
            writer.put(f"{FOLDER}/matrix", self.matrix_RD)
        if self.idf_R is not None:
            writer.put(f"{FOLDER}/idf", self.idf_R)
        if self.names is not None:
            for name, values in self.names.as_arrays().items():
                writer.put(f"{FOLDER}/names/{name}", values)
        sums = writer.attrs["checksums"]
        ours = sorted(f"{name} {sums[name]}" for name in sums if name.startswith(f"{FOLDER}/"))
        digest = digest_of("\n".join(ours).encode()) if ours else None
        writer.attrs["features"] = {"kind": self.kind, "dim": self.dim, "fingerprint": digest}

    @classmethod
    def read(cls, store: GraphStore) -> Projection:
        """The projection of a store that has the attribute `features`."""
        assert store.features is not None
        return cls(
            str(store.features["kind"]),
            store.feature_dim,
            _names(store),
            _read(store, "matrix"),
            _read(store, "idf"),
        )

    def apply(self, rows_nR: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """Features float32 [n, D] of rows of given features [n, R]."""
        if self.matrix_RD is None:
            return rows_nR if isinstance(rows_nR, np.ndarray) else rows_nR.toarray()
        if self.idf_R is not None:
            rows_nR = weighted(sp.csr_matrix(rows_nR), self.idf_R)
        return np.asarray(rows_nR @ self.matrix_RD, np.float32)


def arrays_of(store: GraphStore) -> list[str]:
    """The names of the arrays of a store's projection."""
    return [name for name in store.array_names if name.startswith(f"{FOLDER}/")]


def projection_bytes(store: GraphStore) -> int:
    """The size of a store's projection."""
    return sum(store.array(name).nbytes for name in arrays_of(store))


def working_bytes(store: GraphStore, num_nodes: int) -> int:
    """The memory of a store's projection, and of making the features of N nodes with it."""
    num_bytes = projection_bytes(store)
    if store.features is None or store.features["kind"] != "graph":
        return num_bytes
    return num_bytes + PLACE_BYTES * num_nodes + LOOKUP_BYTES * store.num_nodes


def _read(store: GraphStore, name: str) -> np.ndarray | None:
    return store.read(f"{FOLDER}/{name}") if f"{FOLDER}/{name}" in store else None


def weighted(counts_nR: sp.csr_matrix, idf_R: np.ndarray) -> sp.csr_matrix:
    """Counts times their weights, in rows of length 1 (TF-IDF)."""
    from sklearn.preprocessing import normalize  # slow to import

    return normalize(sp.csr_matrix(counts_nR @ sp.diags(idf_R)), copy=False)


def _names(store: GraphStore) -> NodeIds | None:
    names = {
        name.rpartition("/")[2]: store.read(name)
        for name in arrays_of(store)
        if name.startswith(f"{FOLDER}/names/")
    }
    return NodeIds.from_arrays(names) if names else None


def given_names(store: GraphStore) -> frozenset[str]:
    """The names of the given features of a store; none if they are made from its graph."""
    if store.features is None or store.features["kind"] == "graph":
        return frozenset()
    names = _names(store)
    return frozenset() if names is None else frozenset(map(str, names.to_list()))


def named(names: Sequence[str] | Sequence[int] | None) -> NodeIds | None:
    """The names of features; None if they are not known."""
    return None if names is None else NodeIds.of(list(names))
