"""What the others must know of a modality, and how it travels.

    rows      [S, R + B]   rows of its factor, and their biases in each relation
    gram      [R, R]       F^T F of the whole factor

Legend: N items, S rows shared, R rank of the factors, B relations that the modality is in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from hypergraph.model.objective.predict import take


@dataclass(frozen=True, eq=False)
class FactorView:
    """A modality as a relation's loss sees it; with gradients only where it is trained.

    Attributes:
        rows_SR, bias_SB: of the items that a batch touches, or of all.
        gram_RR: of the whole factor.
        size: N.
        relations: the names of the B relations.
    """

    rows_SR: torch.Tensor
    bias_SB: torch.Tensor
    gram_RR: torch.Tensor
    size: int
    relations: tuple[str, ...]

    def bias_of(self, relation: str) -> torch.Tensor:
        """The rows' biases [S] in a relation."""
        return self.bias_SB[:, self.relations.index(relation)]

    def take(self, items: torch.Tensor) -> FactorView:
        """The view of some of the rows."""
        items = items.to(self.rows_SR.device)
        return replace(
            self, rows_SR=take(self.rows_SR, items), bias_SB=self.bias_SB.index_select(0, items)
        )

    def detached(self, device: torch.device | str | None = None) -> FactorView:
        """The same without gradients, on another device if one is given."""
        rows, bias, gram = (
            part.detach().to(device or part.device)
            for part in (self.rows_SR, self.bias_SB, self.gram_RR)
        )
        return FactorView(rows, bias, gram, self.size, self.relations)

    def flat(self) -> torch.Tensor:
        """All of it in one row, on the CPU."""
        rows = torch.cat([self.rows_SR, self.bias_SB], 1)
        return torch.cat([rows.detach().flatten(), self.gram_RR.detach().flatten()]).cpu()

    @classmethod
    def from_flat(
        cls, flat: torch.Tensor, num_rows: int, rank: int, size: int, relations: tuple[str, ...]
    ) -> FactorView:
        """What `flat` made."""
        width = rank + len(relations)
        rows, gram = flat.split([num_rows * width, rank * rank])
        rows = rows.view(num_rows, width)
        return cls(
            rows[:, :rank].contiguous(),
            rows[:, rank:].contiguous(),
            gram.view(rank, rank),
            size,
            relations,
        )


def flat_length(num_rows: int, rank: int, num_relations: int) -> int:
    """Numbers in a flat view."""
    return num_rows * (rank + num_relations) + rank * rank
