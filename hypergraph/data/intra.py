"""The graph inside a modality, and the recipe from which it can be made.

Legend: N items, E edges.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hvdtma.core.bounds import check_whole
from hvdtma.core.errors import UserError, nearest
from hypergraph.data.checks import finite_numbers, first_repeat, index_rows, row_keys
from hypergraph.data.lazy import Lazy, is_unread, num_rows

KINDS = ["features", "hyperedges"]


@dataclass(frozen=True)
class GraphRecipe:
    """The recipe of an intra graph: each item is joined with its k nearest items.

    Attributes:
        kind: `features` (cosine of the features) or `hyperedges` (cosine of the partners in
            hyperedges); see `hypergraph.data.neighbours`.
        k: neighbours per item; an item that is near many others gets more.
        relations: the relations whose hyperedges are used; () for all of the modality.
    """

    kind: str
    k: int = 10
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"kind of neighbours is '{self.kind}'; {nearest(self.kind, KINDS)}")
        check_whole("k, the neighbours of an item,", self.k, 1)
        object.__setattr__(self, "relations", tuple(self.relations))
        if self.relations and self.kind == "features":
            raise UserError("neighbours by features use no relations; leave them out")

    def uses(self, relation: str) -> bool:
        """Whether the graph depends on the hyperedges of a relation."""
        return self.kind == "hyperedges" and (not self.relations or relation in self.relations)

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values: `GraphRecipe(**values)` is the same recipe."""
        return asdict(self) | {"relations": list(self.relations)}


@dataclass(frozen=True, eq=False, repr=False)
class Intra:
    """Undirected weighted edges between items of one modality.

    Attributes:
        edges: int64 [E, 2], every pair of items once, and no item with itself.
        weights: float32 [E] above 0; None: all 1.
        recipe: the recipe that it was made by; None if the edges were given.

    Raises UserError for other edges and weights; `Intra.of` brings edges into this form.
    """

    edges: Lazy[np.ndarray] = Lazy()
    weights: Lazy[np.ndarray | None] = Lazy(None)
    recipe: GraphRecipe | None = None

    def __post_init__(self) -> None:
        if is_unread(self, "edges"):
            return
        edges = index_rows(self.edges, 2, "edges of an intra graph")
        object.__setattr__(self, "edges", edges)
        loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
        if len(loops):
            raise UserError(
                f"edge {loops[0]} of an intra graph joins item {edges[loops[0], 0]} with itself; "
                "leave such edges out, or call Intra.of"
            )
        again = first_repeat(row_keys(np.sort(edges, axis=1)))
        if again is not None:
            raise UserError(
                f"edge {again} of an intra graph, {edges[again].tolist()}, is repeated; give each "
                "pair once, in one direction, or call Intra.of"
            )
        if self.weights is not None:
            weights = finite_numbers(self.weights, len(edges), "weights of an intra graph")
            if (weights <= 0).any():
                worst = int(np.argmin(weights))
                raise UserError(
                    f"weight {worst} of an intra graph is {weights[worst]}; weights must be "
                    "above 0: leave such edges out"
                )
            object.__setattr__(self, "weights", weights)

    def __repr__(self) -> str:
        return f"Intra({self.num_edges:,} edges, recipe={self.recipe})"

    @property
    def num_edges(self) -> int:
        """The number of edges E; does not read the edges."""
        return num_rows(self, "edges")

    @classmethod
    def of(cls, edges: Any, weights: Any = None, recipe: GraphRecipe | None = None) -> Intra:
        """A graph of edges that may be repeated, in either direction, or join an item with itself.

        Of several weights of a pair, the largest one is kept.

        Args:
            edges: integers [E, 2].
            weights: numbers [E]; None: all 1.
            recipe: the recipe that the edges were made by.

        Raises UserError for another shape or type, and for weights that are not finite or not
        above 0.
        """
        pairs = np.sort(index_rows(edges, 2, "edges of an intra graph"), axis=1)
        keep = np.flatnonzero(pairs[:, 0] != pairs[:, 1])
        if weights is not None:
            weights = finite_numbers(weights, len(pairs), "weights of an intra graph")
            keep = keep[np.argsort(-weights[keep], kind="stable")]
        _, first = np.unique(row_keys(pairs[keep]), return_index=True)
        keep = keep[first]
        return cls(pairs[keep], None if weights is None else weights[keep], recipe)


def chain(num_items: int) -> Intra:
    """A graph that joins each item with the next: for ordered items, such as centuries."""
    items = np.arange(max(num_items, 1), dtype=np.int64)
    return Intra(np.stack([items[:-1], items[1:]], axis=1))
