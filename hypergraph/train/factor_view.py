"""The part of a modality's factor that a relation's loss needs, and how it is sent.

    rows      [S, R + B]   rows of the factor, and their biases in each relation
    gram      [R, R]       F^T F of the whole factor F

Legend: N items, S rows in the view, R rank of the factors, B relations that the modality is in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from hypergraph.model.objective.predict import take


@dataclass(frozen=True, eq=False)
class FactorView:
    """Some rows of a modality's factor; with gradients on the rank that trains the modality.

    Attributes:
        rows_SR, bias_SB: rows and biases of the items of a batch, or of all items.
        gram_RR: the Gram matrix of the whole factor.
        size: N.
        relations: the names of the B relations.
    """

    rows_SR: torch.Tensor
    bias_SB: torch.Tensor
    gram_RR: torch.Tensor
    size: int
    relations: tuple[str, ...]

    def bias_of(self, relation: str) -> torch.Tensor:
        """The biases [S] in a relation."""
        return self.bias_SB[:, self.relations.index(relation)]

    def take(self, items: torch.Tensor) -> FactorView:
        """A view of some of the rows."""
        items = items.to(self.rows_SR.device)
        return replace(
            self, rows_SR=take(self.rows_SR, items), bias_SB=self.bias_SB.index_select(0, items)
        )

    def detached(self, device: torch.device | str | None = None) -> FactorView:
        """The view without gradients, moved to a device if one is given."""
        rows, bias, gram = (
            part.detach().to(device or part.device)
            for part in (self.rows_SR, self.bias_SB, self.gram_RR)
        )
        return FactorView(rows, bias, gram, self.size, self.relations)

    def flat(self) -> torch.Tensor:
        """The view as one flat tensor on the CPU."""
        rows = torch.cat([self.rows_SR, self.bias_SB], 1)
        return torch.cat([rows.detach().flatten(), self.gram_RR.detach().flatten()]).cpu()

    @classmethod
    def from_flat(
        cls, flat: torch.Tensor, num_rows: int, rank: int, size: int, relations: tuple[str, ...]
    ) -> FactorView:
        """The view that a flat tensor was made of.

        Args:
            num_rows, rank, size: S, R and N.
        """
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
    """The length of a flat view."""
    return num_rows * (rank + num_relations) + rank * rank
