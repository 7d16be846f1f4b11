"""HyperedgeBatches of hyperedges, the same on every rank: drawn from the seed, never sent.

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
    """Hyperedges of one relation, with positions in the rows that they touch.

    Attributes:
        relation: its name.
        rows: for each of its modalities the items touched, int64, ascending.
        indices_nK: positions in `rows`.
        value_n: float, or None.
        corrupted_nKm: positions in `rows`, or None.
    """

    relation: str
    rows: dict[str, torch.Tensor]
    indices_nK: torch.Tensor
    value_n: torch.Tensor | None
    corrupted_nKm: torch.Tensor | None


class HyperedgeBatches:
    """A relation's batches, without end: it is passed over in a new order each time.

    Args:
        sizes: items of each of its modalities.
        batch_size: hyperedges; None takes all, every time.
        negatives: corrupted items of each modality for a hyperedge; 0 draws none.
        stream: of the seed, and whatever else sets this relation apart.
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
        self._left = np.empty(0, np.int64)
        self._whole: HyperedgeBatch | None = None

    def next(self) -> HyperedgeBatch:
        """The next batch."""
        if self.batch_size < len(self.indices_nK):
            return self._batch(torch.from_numpy(self._drawn()))
        if self._whole is None or self.negatives:
            self._whole = self._batch(slice(None))
        return self._whole

    def state(self) -> dict[str, torch.Tensor]:
        """Where they are: the random states, and what is left of the pass."""
        random = json.dumps(self._random.bit_generator.state).encode()
        return {
            "random": torch.frombuffer(bytearray(random), dtype=torch.uint8),
            "generator": self._generator.get_state(),
            "left": torch.from_numpy(self._left),
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on where others of the same relation were: with what `state` said."""
        self._random.bit_generator.state = json.loads(state["random"].numpy().tobytes())
        self._generator.set_state(state["generator"])
        self._left = state["left"].numpy()

    def _drawn(self) -> np.ndarray:
        if len(self._left) < self.batch_size:  # the rest of the pass begins the next one
            again = self._random.permutation(len(self.indices_nK))
            self._left = np.concatenate([self._left, again])
        drawn, self._left = np.split(self._left, [self.batch_size])
        return drawn

    def _batch(self, chosen: torch.Tensor | slice) -> HyperedgeBatch:
        indices_nK = self.indices_nK[chosen]
        corrupted = None
        if self.negatives:
            corrupted = corrupt(indices_nK, self.sizes, self.negatives, self._generator)
        rows, local, false = {}, [], []
        for k, name in enumerate(self.modalities):
            touched = indices_nK[:, k : k + 1]
            if corrupted is not None:
                touched = torch.cat([touched, corrupted[:, k]], 1)
            rows[name], position = torch.unique(touched, return_inverse=True)
            local.append(position[:, 0])
            false.append(position[:, 1:])
        return HyperedgeBatch(
            self.name,
            rows,
            torch.stack(local, 1),
            None if self.value_n is None else self.value_n[chosen],
            None if corrupted is None else torch.stack(false, 1),
        )
