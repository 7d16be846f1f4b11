"""The types of a typed graph: node types, and edge types with the node types of their ends.

An edge type is a triple (source type, relation, destination type), as in DGL and PyTorch Geometric.
In configs and messages it is one name, `user:buys:item`. The reverse of an edge type has the
relation `rev_buys` and the ends in the other order, so that messages flow both ways.

Legend: T node types, R edge types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hvdtma.core.errors import UserError, nearest

SEPARATOR = ":"
REVERSE = "rev_"
MAX_NODE_TYPES = 256
MAX_EDGE_TYPES = 1 << 12  # each has arrays of its own
DEGREES = "degrees"  # the features of a node type that has no others


class EdgeType(NamedTuple):
    """An edge type by the names of its source type, relation and destination type."""

    src: str
    relation: str
    dst: str

    def __str__(self) -> str:
        return SEPARATOR.join(self)

    @property
    def reverse(self) -> EdgeType:
        """The edge type of the same links in the other direction."""
        return EdgeType(self.dst, REVERSE + self.relation, self.src)

    @classmethod
    def of(cls, given: str | Iterable[str]) -> EdgeType:
        """From `user:buys:item` or a triple; raises UserError for anything else."""
        parts = given.split(SEPARATOR) if isinstance(given, str) else list(given)
        if len(parts) != 3 or not all(isinstance(part, str) and part for part in parts):
            raise UserError(
                f"the edge type {given!r} is not source:relation:destination, as user:buys:item is"
            )
        for part in parts:
            check_type_name(part)
        return cls(*parts)


def check_type_name(name: str) -> None:
    """Raise UserError for a name of a type that cannot stand in `user:buys:item`."""
    if not name or SEPARATOR in name or name != name.strip():
        raise UserError(
            f"the type name {name!r} is empty, or has a colon or blanks around it; rename the type"
        )


@dataclass(frozen=True)
class GraphSchema:
    """The types of a graph.

    Attributes:
        node_types: T names.
        edge_types: R triples.
        sizes: the number of nodes of each node type.
        num_edges: the number of training edges of each edge type.
        dims: the width of the features of each node type.
        features: `given`, `svd` (reduced from given features) or `degrees`, for each node type.
        label_type: the node type that has labels; None without labels.
        held_out: for `valid` and `test` the number of held-out links of each edge type.
    """

    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    sizes: tuple[int, ...] = ()
    num_edges: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()
    features: tuple[str, ...] = ()
    label_type: str | None = None
    held_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of_attrs(cls, attrs: Mapping[str, Any]) -> GraphSchema | None:
        """The schema in the attributes of a store; None for a store without node types."""
        if "schema" not in attrs:
            return None
        values = dict(attrs["schema"])
        edge_types = tuple(EdgeType(*each) for each in values.pop("edge_types"))
        held_out = {part: tuple(numbers) for part, numbers in values.pop("held_out").items()}
        label_type = values.pop("label_type")
        facts = {name: tuple(numbers) for name, numbers in values.items()}
        return cls(edge_types=edge_types, held_out=held_out, label_type=label_type, **facts)

    def as_attrs(self) -> dict[str, Any]:
        """The schema as JSON values."""
        return asdict(self)

    @property
    def edge_type_names(self) -> list[str]:
        """The names of the edge types, such as `user:buys:item`."""
        return [str(each) for each in self.edge_types]

    @cached_property
    def ends(self) -> np.ndarray:
        """int64 [R, 2]: the numbers of the node types of sources and destinations."""
        number = {name: at for at, name in enumerate(self.node_types)}
        pairs = [(number[each.src], number[each.dst]) for each in self.edge_types]
        return np.array(pairs, np.int64).reshape(-1, 2)

    def into(self, node_type: int) -> list[int]:
        """The numbers of the edge types whose destinations are of a node type."""
        return np.flatnonzero(self.ends[:, 1] == node_type).tolist()

    @property
    def forward(self) -> list[int]:
        """The numbers of the edge types that are not the reverse of another one."""
        others = {each.reverse for each in self.edge_types}
        return [at for at, each in enumerate(self.edge_types) if each not in others]

    def reverse_of(self, number: int) -> int | None:
        """The number of the reverse of an edge type, or None."""
        wanted = self.edge_types[number].reverse
        return self.edge_types.index(wanted) if wanted in self.edge_types else None

    def hop_dim(self, node_type: int) -> int:
        """The values of the stored first hop of a node: a mean for each edge type into its type."""
        return sum(self.dims[self.ends[number, 0]] for number in self.into(node_type))

    def edge_type_numbers(self, given: str | Sequence[str] | None, what: str) -> list[int]:
        """The numbers of named edge types, ascending; None: all that are no reverse.

        A relation alone is enough if it is unique. Raises UserError for an unknown name.
        """
        if given is None:
            return self.forward
        names = [given] if isinstance(given, str) else list(given)
        return sorted({self._edge_type_number(name, what) for name in names})

    def _edge_type_number(self, name: str, what: str) -> int:
        if name in self.edge_type_names:
            return self.edge_type_names.index(name)
        same = [at for at, each in enumerate(self.edge_types) if each.relation == name]
        if len(same) == 1:
            return same[0]
        known = nearest(name, self.edge_type_names)
        raise UserError(f"{what} '{name}' is no edge type of the graph; {known}")

    def node_type_number(self, name: str, what: str) -> int:
        """The number of a named node type; raises UserError for an unknown name."""
        if name not in self.node_types:
            known = nearest(name, list(self.node_types))
            raise UserError(f"{what} '{name}' is no node type of the graph; {known}")
        return self.node_types.index(name)


def check_types(node_types: Sequence[str], edge_types: Sequence[EdgeType]) -> None:
    """Raise UserError for too many types, for repeats, and for ends of an unknown type."""
    for name in node_types:
        check_type_name(name)
    for kind, found, most in (
        ("node types", list(node_types), MAX_NODE_TYPES),
        ("edge types", list(map(str, edge_types)), MAX_EDGE_TYPES),
    ):
        if not 1 <= len(found) <= most:
            raise UserError(f"the graph has {len(found)} {kind}; valid: 1 to {most:,}")
        if len(set(found)) < len(found):
            twice = next(name for name in found if found.count(name) > 1)
            raise UserError(f"'{twice}' stands twice among the {kind}")
    for each in edge_types:
        for end in (each.src, each.dst):
            if end not in node_types:
                raise UserError(
                    f"the edge type '{each}' has the end '{end}', which is no node type; "
                    + nearest(end, list(node_types))
                )


def with_reverse(edge_types: Sequence[EdgeType]) -> list[EdgeType]:
    """The edge types, and the reverse of each that has none and is none."""
    others = {each.reverse for each in edge_types}
    added = [e.reverse for e in edge_types if e.reverse not in edge_types and e not in others]
    return [*edge_types, *added]
