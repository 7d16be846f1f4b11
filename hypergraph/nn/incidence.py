"""The incidence of items and hyperedges.

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
    """The incidence of a hypergraph as coordinates; derived matrices are computed once.

    Repeated pairs count once. Hyperedges may be empty, have a single item or equal each other, and
    items may be in no hyperedge.

    Args:
        item: integers [I], from 0 to num_items - 1.
        hyperedge: integers [I], from 0 to num_hyperedges - 1.
        num_items: N.
        num_hyperedges: M.

    Raises UserError for indices that are out of range, of unequal lengths or no integers.
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
        """The incidence of hyperedges, each given as its items.

        Args:
            num_items: N; None: the largest item plus one.

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
        """The incidence of hyperedges of the same arity, one per row.

        Args:
            indices_nK: the items, integers.
            sizes: N, if all columns have the same kind of items; else the number of items of each
                column. Columns are then concatenated: item i of column k becomes
                `sum(sizes[:k]) + i`.

        Raises UserError for another shape, for another number of sizes than columns, and for
        indices that are out of range or no integers.
        """
        if indices_nK.dim() != 2:
            raise UserError(f"indices have shape {list(indices_nK.shape)}; they must be [n, K]")
        num_hyperedges, arity = indices_nK.shape
        first = [0] * arity
        if not isinstance(sizes, int):
            if len(sizes) != arity:
                raise UserError(f"{len(sizes)} sizes for {arity} columns; give one per column")
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
        cell = torch.unique(self.item.long() * num_columns + self.hyperedge.long())
        ones = torch.ones(len(cell), device=cell.device)
        shape = (self.num_items, self.num_hyperedges)
        return SparseMatrix.of(cell // num_columns, cell % num_columns, ones, shape)

    @cached_property
    def degree(self) -> torch.Tensor:
        """The number of hyperedges of each item, int64 [N]."""
        return self.matrix.csr.crow_indices().long().diff()

    @cached_property
    def size(self) -> torch.Tensor:
        """The number of items of each hyperedge, int64 [M]."""
        return self.matrix.csr_T.crow_indices().long().diff()
