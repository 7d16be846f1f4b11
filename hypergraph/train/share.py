"""What the others must know of a modality, and how it travels.

    rows      [S, R + 1]   rows of its factor, and their biases
    gram      [R, R]       F^T F of the whole factor

Legend: N items, S rows shared, R rank of the factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hypergraph.model.objective.predict import take


@dataclass(frozen=True, eq=False)
class View:
    """A modality as a relation's loss sees it; with gradients only where it is trained.

    Attributes:
        rows_SR, bias_S: of the items that a batch touches, or of all.
        gram_RR: of the whole factor.
        size: N.
    """

    rows_SR: torch.Tensor
    bias_S: torch.Tensor
    gram_RR: torch.Tensor
    size: int

    def take(self, items: torch.Tensor) -> View:
        """The view of some of the rows."""
        items = items.to(self.rows_SR.device)
        return View(
            take(self.rows_SR, items), self.bias_S.index_select(0, items), self.gram_RR, self.size
        )

    def detached(self, device: torch.device | str | None = None) -> View:
        """The same without gradients, on another device if one is given."""
        rows, bias, gram = (
            part.detach().to(device or part.device)
            for part in (self.rows_SR, self.bias_S, self.gram_RR)
        )
        return View(rows, bias, gram, self.size)

    def flat(self) -> torch.Tensor:
        """All of it in one row, on the CPU."""
        rows = torch.cat([self.rows_SR, self.bias_S[:, None]], 1)
        return torch.cat([rows.detach().flatten(), self.gram_RR.detach().flatten()]).cpu()

    @classmethod
    def from_flat(cls, flat: torch.Tensor, num_rows: int, rank: int, size: int) -> View:
        """What `flat` made."""
        rows, gram = flat.split([num_rows * (rank + 1), rank * rank])
        rows = rows.view(num_rows, rank + 1)
        return cls(
            rows[:, :rank].contiguous(), rows[:, rank].contiguous(), gram.view(rank, rank), size
        )


def flat_length(num_rows: int, rank: int) -> int:
    """Numbers in a flat view."""
    return num_rows * (rank + 1) + rank * rank
