"""Batches of hyperedges, drawn from the seed alike on every rank, so that they are never sent.

Legend: n hyperedges of a batch, K arity, m corrupted items.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hypergraph.data import Relation
from hypergraph.model.objective import corrupt


@dataclass(frozen=True, eq=False)
class HyperedgeBatch:
    """Hyperedges of one relation.

    Attributes:
        relation: the relation's name.
        rows: modality -> the items in the batch, int64, ascending.
        indices_nK: the hyperedges, as positions in `rows`.
        value_n: their values, or None.
        corrupted_nKm: corrupted items, as positions in `rows`, or None.
    """

    relation: str
    rows: dict[str, torch.Tensor]
    indices_nK: torch.Tensor
    value_n: torch.Tensor | None
    corrupted_nKm: torch.Tensor | None


class HyperedgeBatches:
    """An endless sequence of batches of a relation; each pass is in a new order.

    Args:
        sizes: number of items of each of its modalities.
        batch_size: hyperedges per batch; None: all.
        negatives: corrupted items per hyperedge and modality; 0: none.
        stream: seeds of the random numbers, different for each relation.
    """

    def __init__(
        self,
        relation: Relation,
        sizes: list[int],
        *,
        batch_size: int | None,
        negatives: int,
        stream: list[int],
        dtype: torch.dtype = torch.float32,
    ):
        self.name, self.modalities, self.sizes = relation.name, relation.modalities, sizes
        self.indices_nK = torch.from_numpy(relation.indices)
        values = relation.values
        self.value_n = None if values is None else torch.from_numpy(values).to(dtype)
        count = relation.num_hyperedges
        self.batch_size = count if batch_size is None else min(batch_size, count)
        self.negatives = negatives
        self._random = np.random.default_rng(stream)
        self._generator = torch.Generator().manual_seed(int(self._random.integers(2**62)))
        self._remaining = np.empty(0, np.int64)
        self._full: HyperedgeBatch | None = None

    def next(self) -> HyperedgeBatch:
        """The next batch."""
        if self.batch_size < len(self.indices_nK):
            return self._batch(torch.from_numpy(self._draw()))
        if self._full is None or self.negatives:
            self._full = self._batch(slice(None))
        return self._full

    def state(self) -> dict[str, torch.Tensor]:
        """The state: random states, and the remaining hyperedges of the pass."""
        random = json.dumps(self._random.bit_generator.state).encode()
        return {
            "random": torch.frombuffer(bytearray(random), dtype=torch.uint8),
            "generator": self._generator.get_state(),
            "left": torch.from_numpy(self._remaining),
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a state of the same relation."""
        self._random.bit_generator.state = json.loads(state["random"].numpy().tobytes())
        self._generator.set_state(state["generator"])
        self._remaining = state["left"].numpy()

    def _draw(self) -> np.ndarray:
        if len(self._remaining) < self.batch_size:  # a batch may span two passes
            order = self._random.permutation(len(self.indices_nK))
            self._remaining = np.concatenate([self._remaining, order])
        drawn, self._remaining = np.split(self._remaining, [self.batch_size])
        return drawn

    def _batch(self, chosen: torch.Tensor | slice) -> HyperedgeBatch:
        indices_nK = self.indices_nK[chosen]
        corrupted = None
        if self.negatives:
            corrupted = corrupt(indices_nK, self.sizes, self.negatives, self._generator)
        rows, local, false = {}, [], []
        for k, name in enumerate(self.modalities):
            used = indices_nK[:, k : k + 1]
            if corrupted is not None:
                used = torch.cat([used, corrupted[:, k]], 1)
            rows[name], position = torch.unique(used, return_inverse=True)
            local.append(position[:, 0])
            false.append(position[:, 1:])
        return HyperedgeBatch(
            self.name,
            rows,
            torch.stack(local, 1),
            None if self.value_n is None else self.value_n[chosen],
            None if corrupted is None else torch.stack(false, 1),
        )
