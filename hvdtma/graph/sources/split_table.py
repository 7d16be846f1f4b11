"""Given splits, checked but not yet looked up, and their way to positions.

Legend: N nodes, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.ids import NodeIds
from hvdtma.graph.raw import PARTS, Pairs
from hvdtma.graph.sources.columns import Column, are_strings, as_kind


@dataclass(frozen=True)
class GivenSplits:
    """The arrays of a splits file, checked, not yet looked up.

    Attributes:
        path: the file, for errors.
        ids: by key (`train`, `valid`, `test`: src then dst [2n]; `valid_neg`, `test_neg` [n*K];
            `train_node`, ... [n]) ids, all int64 or all large_string.
        num_pairs: n by part; empty where the file holds a node split only.
        types: names of edge types [n] by part, or empty.
    """

    path: Path
    ids: dict[str, Column]
    num_pairs: dict[str, int]
    types: dict[str, Column] = field(default_factory=dict)

    @property
    def are_strings(self) -> bool:
        """Whether the ids are strings, not integers."""
        return any(are_strings(ids) for ids in self.ids.values())

    def as_kind(self, strings: bool) -> GivenSplits:
        """The same with ids as strings or integers; raises UserError where they are not."""
        ids = {k: as_kind(v, strings, f"'{k}' of '{self.path}'") for k, v in self.ids.items()}
        return GivenSplits(self.path, ids, self.num_pairs, self.types)

    def link_split(self, node_id: NodeIds) -> dict[str, Pairs] | None:
        """Pairs by part, as positions, without types; raises UserError for an unknown id."""
        if not self.num_pairs:
            return None
        split = {}
        for part, num in self.num_pairs.items():
            src, dst = self._positions(part, node_id).reshape(2, num)
            has_neg = f"{part}_neg" in self.ids
            neg = self._positions(f"{part}_neg", node_id).reshape(num, -1) if has_neg else None
            split[part] = Pairs(src, dst, neg)
        return split

    def node_split(self, node_id: NodeIds) -> dict[str, np.ndarray] | None:
        """Nodes by part, ascending positions; raises UserError for an unknown or repeated id."""
        if "train_node" not in self.ids:
            return None
        split = {part: np.sort(self._positions(f"{part}_node", node_id)) for part in PARTS}
        nodes, count = np.unique(np.concatenate(list(split.values())), return_counts=True)
        if np.any(count > 1):
            node = node_id[nodes[np.argmax(count > 1)]]
            raise UserError(f"'{self.path}': node '{node}' is twice in the split of nodes")
        return split

    def _positions(self, key: str, node_id: NodeIds) -> np.ndarray:
        positions = node_id.lookup(self.ids[key])
        unknown = np.flatnonzero(positions < 0)
        if len(unknown):
            raise UserError(
                f"'{self.path}': '{key}' has the id '{self.ids[key][int(unknown[0])]}', which is "
                "in no edge and has no features (without --edges, every id of a split is a node)"
            )
        return positions
