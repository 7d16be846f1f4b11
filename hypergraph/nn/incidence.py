"""Which item stands in which hyperedge.

Legend: N items, M hyperedges, I incidences, n hyperedges of one arity K.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch

from hvdtma.core.errors import UserError
from hypergraph.indices import check_indices
from hypergraph.sparse import SparseMatrix


@dataclass(frozen=True, eq=False)
class Incidence:
    """The incidence of a hypergraph, as coordinates; what layers need of it is made once.

    An item stands in a hyperedge or not: a pair given twice counts once. Hyperedges may be empty,
    of one item, or equal to others, and items may stand in none.

    Args:
        item: integers [I], from 0 to num_items - 1.
        hyperedge: integers [I], from 0 to num_hyperedges - 1.
        num_items: N.
        num_hyperedges: M.

    Raises UserError for indices out of range, of unequal lengths or that are no integers.
    """

    item: torch.Tensor
    hyperedge: torch.Tensor
    num_items: int
    num_hyperedges: int

    def __post_init__(self) -> None:
        if self.item.shape != self.hyperedge.shape or self.item.dim() != 1:
            raise UserError(
                f"item has shape {list(self.item.shape)} and hyperedge "
                f"{list(self.hyperedge.shape)}; both must be [I], one entry per incidence"
            )
        check_indices("item", self.item, self.num_items)
        check_indices("hyperedge", self.hyperedge, self.num_hyperedges)

    @classmethod
    def from_hyperedges(
        cls, hyperedges: Iterable[Iterable[int]], num_items: int | None = None
    ) -> Incidence:
        """From the items of each of M hyperedges; without `num_items`, the largest is the last.

        Raises UserError for an item out of range.
        """
        members = [list(hyperedge) for hyperedge in hyperedges]
        item = torch.tensor([item for each in members for item in each], dtype=torch.int64)
        size = torch.tensor([len(each) for each in members], dtype=torch.int64)
        if num_items is None:
            num_items = int(item.max()) + 1 if len(item) else 0
        hyperedge = torch.repeat_interleave(torch.arange(len(members)), size)
        return cls(item, hyperedge, num_items, len(members))

    @classmethod
    def from_indices(cls, indices_nK: torch.Tensor, sizes: int | Sequence[int]) -> Incidence:
        """From integers [n, K], a hyperedge per row.

        Args:
            indices_nK: the items.
            sizes: N, if all columns name the same items; else the number of items of each
                column's modality. These are then laid end to end: item i of the column k
                becomes `sum(sizes[:k]) + i`.

        Raises UserError for another shape, another number of sizes than columns, and for what is
        no integer or out of range.
        """
        if indices_nK.dim() != 2:
            raise UserError(f"indices have shape {list(indices_nK.shape)}; they must be [n, K]")
        num_hyperedges, arity = indices_nK.shape
        first = [0] * arity
        if not isinstance(sizes, int):
            if len(sizes) != arity:
                raise UserError(f"{len(sizes)} sizes for {arity} columns; give one for each")
            for column, size in enumerate(sizes):
                check_indices(f"column {column} of the indices", indices_nK[:, column], size)
            *first, sizes = accumulate(sizes, initial=0)
        item_nK = indices_nK + torch.tensor(first, device=indices_nK.device)
        hyperedge = torch.arange(num_hyperedges, device=indices_nK.device)
        return cls(item_nK.flatten(), hyperedge.repeat_interleave(arity), sizes, num_hyperedges)

    def to(self, device: torch.device | str) -> Incidence:
        """The same incidence on another device."""
        item, hyperedge = self.item.to(device), self.hyperedge.to(device)
        return Incidence(item, hyperedge, self.num_items, self.num_hyperedges)

    @cached_property
    def matrix(self) -> SparseMatrix:
        """H, float32 [N, M] of zeros and ones."""
        num_columns = max(self.num_hyperedges, 1)
        place = torch.unique(self.item.long() * num_columns + self.hyperedge.long())
        ones = torch.ones(len(place), device=place.device)
        shape = (self.num_items, self.num_hyperedges)
        return SparseMatrix.of(place // num_columns, place % num_columns, ones, shape)

    @cached_property
    def degree(self) -> torch.Tensor:
        """int64 [N]: in how many hyperedges an item stands."""
        return self.matrix.csr.crow_indices().long().diff()

    @cached_property
    def size(self) -> torch.Tensor:
        """int64 [M]: how many items a hyperedge has."""
        return self.matrix.csr_T.crow_indices().long().diff()
