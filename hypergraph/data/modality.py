"""One kind of item: the number of items, their ids, features and graph.

Legend: N items, D features, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from operator import index
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.storage.node_ids import NodeIds
from hypergraph.data.checks import first_repeat
from hypergraph.data.intra import Intra
from hypergraph.data.lazy import Lazy, is_unread

Features: TypeAlias = np.ndarray | sp.csr_array
Id: TypeAlias = int | str
_LARGE = 2**62  # the difference of smaller ones is an int64


@dataclass(frozen=True, eq=False, repr=False)
class Modality:
    """The items of one kind.

    Attributes:
        name: such as `artist`.
        num_items: N, at least one.
        ids: the user's ids, int64 or unicode [N], distinct; None: 0 to N-1.
        features: float32 [N, D], dense or csr_array; None: no features.
        intra: weighted edges between items; None: no graph.

    Raises UserError for lengths and types that do not fit, for repeated ids, for features that are
    not finite, and for edges of items that do not exist.
    """

    name: str
    num_items: int
    ids: Lazy[np.ndarray | None] = Lazy(None)
    features: Lazy[Features | None] = Lazy(None)
    intra: Intra | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_items", _checked_size(self.num_items, self.name))
        if self.num_items < 1:
            raise UserError(f"modality '{self.name}' has no items; leave it out, or give it some")
        if not is_unread(self, "ids") and self.ids is not None:
            object.__setattr__(self, "ids", _checked_ids(self.ids, self.num_items, self.name))
        if not is_unread(self, "features") and self.features is not None:
            features = _checked_features(self.features, self.num_items, self.name)
            object.__setattr__(self, "features", features)
        if self.intra is not None and not is_unread(self.intra, "edges"):
            _check_edges(self.intra.edges, self.num_items, self.name)

    def __repr__(self) -> str:
        return f"Modality({self.name!r}, {self.num_items:,} items)"

    def index_of(self, item: Id) -> int:
        """The position of an id; raises UserError, with similar ids, for an unknown one."""
        try:
            number = self._positions.get(item) if self.ids is not None else item
        except TypeError:  # not hashable, such as a list
            number = None
        if isinstance(number, int | np.integer) and 0 <= number < self.num_items:
            return int(number)
        raise UserError(f"modality '{self.name}' has no item {item!r}; {self._valid_near(item)}")

    def id_of(self, index: int) -> Id:
        """The id at a position; raises UserError for one out of range."""
        if not 0 <= index < self.num_items:
            raise UserError(
                f"modality '{self.name}' has no position {index}; valid: 0 to {self.num_items - 1}"
            )
        return int(index) if self.ids is None else self.ids[index].item()

    @cached_property
    def _positions(self) -> dict[Id, int]:
        ids = self.ids
        return {} if ids is None else {item: at for at, item in enumerate(ids.tolist())}

    def _valid_near(self, item: object) -> str:
        if self.ids is None:
            return f"its ids are 0 to {self.num_items - 1}"
        if self.ids.dtype.kind == "i":
            near: list[Id] = []
            if isinstance(item, int) and abs(item) < _LARGE:
                near = self.ids[np.argsort(np.abs(self.ids - item))[:3]].tolist()
            valid = f"its ids are {self.num_items:,} integers from {self.ids.min()}"
            valid += f" to {self.ids.max()}"
        else:
            near = get_close_matches(str(item), self.ids.tolist(), n=3, cutoff=0.5)
            valid = f"its ids are {self.num_items:,} strings such as {self.ids[0].item()!r}"
        listed = ", ".join(map(repr, near))
        return f"{valid}; similar: {listed}" if near else valid


def _checked_size(num_items: Any, name: str) -> int:
    try:
        return index(num_items)
    except TypeError:
        raise UserError(f"modality '{name}' has {num_items!r} items; give a whole number") from None


def _checked_ids(ids: Any, num_items: int, name: str) -> np.ndarray:
    try:
        values = NodeIds.of(ids)
    except UserError as error:
        raise UserError(f"modality '{name}': {error}") from None
    array = np.array(values.to_list()) if values.are_strings else values.values.to_numpy()
    if len(array) != num_items:
        raise UserError(
            f"modality '{name}' has {num_items:,} items but {len(array):,} ids; give one for each"
        )
    again = first_repeat(array)
    if again is not None:
        raise UserError(
            f"modality '{name}' has the id {array[again].item()!r} twice (the second time at "
            f"position {again}); each item needs its own id"
        )
    return array


def _checked_features(features: Any, num_items: int, name: str) -> Features:
    """Features float32 [N, D]."""
    sparse = sp.issparse(features)
    array: Any = sp.csr_array(features, copy=True) if sparse else np.asarray(features)
    valid = array.ndim == 2 and array.shape[1] > 0 and array.dtype.kind in "fiub"
    if not valid or array.shape[0] != num_items:
        raise UserError(
            f"modality '{name}' has {num_items:,} items, and features that are {array.dtype} of "
            f"shape {list(array.shape)}; give numbers of shape [{num_items}, features]"
        )
    with np.errstate(over="ignore"):  # numbers that overflow become infinite: an error below
        array = array.astype(np.float32) if sparse else np.ascontiguousarray(array, np.float32)
    if sparse:
        array.sum_duplicates()
    values = array.data if sparse else array
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values.ravel()))[0])
        row = np.searchsorted(array.indptr, bad, "right") - 1 if sparse else bad // array.shape[1]
        column = array.indices[bad] if sparse else bad % array.shape[1]
        raise UserError(
            f"modality '{name}': feature {column} of item {row} is NaN, infinite or too large for "
            "float32; replace such values first"
        )
    return array


def _check_edges(edges: np.ndarray, num_items: int, name: str) -> None:
    wrong = np.flatnonzero(((edges < 0) | (edges >= num_items)).any(1))
    if len(wrong):
        raise UserError(
            f"intra graph of modality '{name}': edge {wrong[0]} is {edges[wrong[0]].tolist()}, but "
            f"the items are 0 to {num_items - 1}"
        )
