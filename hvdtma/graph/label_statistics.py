"""Counts of labels, and means and deviations of real targets, in one pass over pieces of nodes.

The statistics of the labelled training nodes are an attribute of the store. Every trainer takes
weights of classes and the units of targets from there, so that they are the same on all trainers,
whatever their shards.

Legend: n nodes of a piece, C classes, labels or targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hvdtma.core.split_parts import PARTS
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import StoredRows, gather
from hvdtma.graph.stream import array_pieces
from hvdtma.graph.targets import known_entries, label_rows, stored_form

ONE_SIDED = 0.99  # a class with a larger share of the labelled nodes is worth a warning


class LabelStatistics:
    """The statistics of some nodes' labels.

    Attributes:
        kind: of the labels; see `hvdtma.graph.targets`.
        labelled: the number of nodes with a label.
        known_C: int64, the number of nodes whose entry is known; for classes, `count_C`.
        count_C: int64, the number of nodes of each class or with each label; for real targets 0.
        mean_C: float64, the means of real targets; else 0.
        least_C, most_C: float64, the range of real targets; NaN where none is known.
    """

    def __init__(self, kind: str, num_names: int):
        self.kind, self.labelled = kind, 0
        self.known_C, self.count_C = np.zeros((2, num_names), np.int64)
        self.mean_C, self.square_C = np.zeros((2, num_names))
        self.least_C, self.most_C = np.full((2, num_names), np.nan)

    @classmethod
    def of(cls, pieces: Iterable[np.ndarray], kind: str, num_names: int) -> LabelStatistics:
        """The statistics of labels [n, ...] in the form of a store or of a source."""
        statistics = cls(kind, num_names)
        for label_n in pieces:
            statistics.add(label_n)
        return statistics

    @classmethod
    def from_attribute(cls, values: dict[str, Any], kind: str) -> LabelStatistics:
        """The statistics from the store's attribute."""
        statistics = cls(kind, len(values["known"]))
        statistics.labelled = values["labelled"]
        statistics.known_C = np.array(values["known"], np.int64)
        statistics.count_C = np.array(values["count"], np.int64)
        statistics.mean_C = np.array(values["mean"], np.float64)
        deviation_C = np.array(values["deviation"], np.float64)
        statistics.square_C = statistics.known_C * deviation_C**2
        return statistics

    def as_attribute(self) -> dict[str, Any]:
        """The numbers by name, for an attribute of the store."""
        return {
            "labelled": self.labelled,
            "known": self.known_C.tolist(),
            "count": self.count_C.tolist(),
            "mean": self.mean_C.tolist(),
            "deviation": self.deviation.tolist(),
        }

    @property
    def deviation(self) -> np.ndarray:
        """float64 [C], the population standard deviations of real targets; else 0."""
        return np.sqrt(self.square_C / np.maximum(self.known_C, 1))

    def add(self, label_n: np.ndarray) -> None:
        """Add some nodes."""
        label_n = stored_form(label_n, self.kind)
        known = known_entries(label_n, self.kind)
        if self.kind == "class":
            self.count_C += np.bincount(label_n[known], minlength=len(self.count_C))
            self.known_C, self.labelled = self.count_C, int(self.count_C.sum())
            return
        self.labelled += int(known.any(1).sum())
        if self.kind == "multi":
            self.known_C += known.sum(0)
            self.count_C += (label_n == 1).sum(0)
            return
        self._add_numbers(label_n, known)

    def _add_numbers(self, label_nC: np.ndarray, known_nC: np.ndarray) -> None:
        """Add means and sums of squares (Chan, Golub, LeVeque, Am. Statistician 37, 1983)."""
        new_C = known_nC.sum(0)
        both_C = np.maximum(self.known_C + new_C, 1)
        mean_C = np.where(known_nC, label_nC, 0).sum(0) / np.maximum(new_C, 1)
        square_C = np.where(known_nC, label_nC - mean_C, 0) ** 2
        gap_C = mean_C - self.mean_C
        self.square_C += square_C.sum(0) + gap_C**2 * self.known_C * new_C / both_C
        self.mean_C += gap_C * new_C / both_C
        self.known_C += new_C
        self.least_C = np.fmin(self.least_C, np.fmin.reduce(label_nC, 0, initial=np.nan))
        self.most_C = np.fmax(self.most_C, np.fmax.reduce(label_nC, 0, initial=np.nan))

    def warnings(self, names: Sequence[str]) -> list[str]:
        """What looks wrong with the labels, in words."""
        if not self.labelled:
            return ["no node has a label"] if names else []
        if self.kind == "class":
            share, largest = self.count_C.max() / self.labelled, names[int(self.count_C.argmax())]
            text = f"class '{largest}' has {share:.2%} of the labelled nodes"
            return [text] if share > ONE_SIDED else []
        constant = self._is_constant()
        shown = ", ".join(f"'{name}'" for name, same in zip(names, constant, strict=True) if same)
        return [f"the same value at every known node: {shown}"] if shown else []

    def _is_constant(self) -> np.ndarray:
        if self.kind == "multi":
            return (self.count_C == 0) | (self.count_C == self.known_C)
        return ~(self.least_C < self.most_C)


def stored_labels(store: GraphStore) -> LabelStatistics:
    """The statistics of all labels of a store; reads them in pieces."""
    pieces = array_pieces(store, "label")
    return LabelStatistics.of(pieces, store.label_kind, len(store.label_names))


def training_labels(store: GraphStore) -> LabelStatistics:
    """The statistics of the training nodes; read from the labels if the store does not have them.

    An old store does not.
    """
    if "training_labels" in store.attrs:
        return LabelStatistics.from_attribute(store.attrs["training_labels"], store.label_kind)
    nodes = store.labelled_nodes(PARTS[0])
    nodes = np.zeros(0, np.int64) if nodes is None else nodes
    rows = StoredRows(store, "label")
    pieces = (gather(rows, nodes[part]) for part in label_rows(len(nodes), rows.shape[1:]))
    return LabelStatistics.of(pieces, store.label_kind, len(store.label_names))
