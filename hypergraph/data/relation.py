"""One kind of K-way link: hyperedges, their values, and their parts of a given split.

Legend: n hyperedges, K arity.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.split_parts import PARTS
from hypergraph.data.checks import finite_numbers, index_rows, row_keys
from hypergraph.data.lazy import Lazy, is_unread, num_rows

TRAIN, VALID, TEST = range(3)
_PART_OF = {
    **dict.fromkeys(("0", "train", "training"), TRAIN),
    **dict.fromkeys(("1", "valid", "validation", "val", "dev"), VALID),
    **dict.fromkeys(("2", "test", "testing"), TEST),
}


@dataclass(frozen=True, eq=False, repr=False)
class Relation:
    """Hyperedges that join one item of each of several modalities.

    Attributes:
        name: such as `artwork`.
        modalities: names, distinct, at least two.
        indices: int64 [n, K], positions of items.
        values: float32 [n]; None: hyperedges have no values, they are present or absent.
        part: int8 [n], 0 train, 1 valid, 2 test (or these words); None without a given split.
        num_repeats: hyperedges that were dropped as repeats.

    Repeated hyperedges without values are dropped and counted; of repeats in several parts, the
    held-out one is kept. With values, repeats are kept.

    Raises UserError for lengths and types that do not fit, for unknown parts, and for values that
    are not finite.
    """

    name: str
    modalities: tuple[str, ...]
    indices: Lazy[np.ndarray] = Lazy()
    values: Lazy[np.ndarray | None] = Lazy(None)
    part: Lazy[np.ndarray | None] = Lazy(None)
    num_repeats: int = 0

    def __post_init__(self) -> None:
        where = f"relation '{self.name}'"
        if isinstance(self.modalities, str):
            raise UserError(f"{where} joins '{self.modalities}'; give a tuple of names")
        object.__setattr__(self, "modalities", tuple(self.modalities))
        if len(self.modalities) < 2:
            raise UserError(f"{where} joins {list(self.modalities)}; give at least two modalities")
        name, times = Counter(self.modalities).most_common(1)[0]
        if times > 1:
            raise UserError(
                f"{where} has modality '{name}' {times} times; give links inside a modality as its "
                "intra graph"
            )
        if is_unread(self, "indices"):
            return
        indices = index_rows(self.indices, len(self.modalities), f"indices of {where}")
        object.__setattr__(self, "indices", indices)
        if self.values is not None:
            values = finite_numbers(self.values, len(indices), f"values of {where}")
            object.__setattr__(self, "values", values)
        if self.part is not None:
            object.__setattr__(self, "part", part_codes(self.part, len(indices), where))
        if self.values is None:
            self._drop_repeats()

    def __repr__(self) -> str:
        names = ", ".join(self.modalities)
        return f"Relation({self.name!r}, ({names}), {self.num_hyperedges:,} hyperedges)"

    @property
    def arity(self) -> int:
        """The number of modalities K."""
        return len(self.modalities)

    @property
    def num_hyperedges(self) -> int:
        """The number of hyperedges n; does not read the hyperedges."""
        return num_rows(self, "indices")

    @property
    def mean(self) -> float:
        """The mean of the values; 0 without values."""
        return 0.0 if self.values is None else float(self.values.mean(dtype=np.float64))

    def take(self, rows: np.ndarray) -> Relation:
        """The relation with some of the hyperedges, and without parts."""
        values = None if self.values is None else self.values[rows]
        return replace(self, indices=self.indices[rows], values=values, part=None, num_repeats=0)

    def column(self, modality: str) -> np.ndarray:
        """The items int64 [n] of a modality; raises UserError as `position_of`."""
        return self.indices[:, self.position_of(modality)]

    def position_of(self, modality: str) -> int:
        """The position of a modality in the relation; raises UserError if it is not in it."""
        if modality not in self.modalities:
            raise UserError(
                f"relation '{self.name}' has no modality '{modality}'; "
                f"{nearest(str(modality), list(self.modalities))}"
            )
        return self.modalities.index(modality)

    def _drop_repeats(self) -> None:
        part = np.zeros(self.num_hyperedges, np.int8) if self.part is None else self.part
        held_out_first = np.argsort(-part, kind="stable")
        _, first = np.unique(row_keys(self.indices)[held_out_first], return_index=True)
        keep = np.sort(held_out_first[first])
        repeats = self.num_hyperedges - len(keep)
        if not repeats:
            return
        object.__setattr__(self, "indices", self.indices[keep])
        object.__setattr__(self, "num_repeats", self.num_repeats + repeats)
        if self.part is not None:
            object.__setattr__(self, "part", part[keep])


def part_codes(part: Any, num_hyperedges: int, where: str) -> np.ndarray:
    """Parts as int8 [n]; raises UserError for an unknown word or another length."""
    array = np.asarray(part)
    if array.dtype == object:  # np.unique cannot sort None and words
        array = array.astype(str)
    if array.shape != (num_hyperedges,):
        raise UserError(
            f"{where} has {num_hyperedges:,} hyperedges, but the parts have shape "
            f"{list(array.shape)}; give a part for each"
        )
    distinct, which = np.unique(array, return_inverse=True)
    codes = np.array([_code_of(word) for word in distinct.tolist()], np.int8)[which.reshape(-1)]
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        word = str(array[unknown[0]])
        raise UserError(
            f"{where}: part of hyperedge {unknown[0]} is '{word}'; {nearest(word, list(PARTS))}"
        )
    return codes


def _code_of(word: str | int) -> int:
    """The code of a part; -1 for an unknown word."""
    known = word if word in (TRAIN, VALID, TEST) else _PART_OF.get(str(word).strip().lower(), -1)
    return int(known)
