"""The types that a trained model can be asked about.

An edge type of a typed graph can be scored if the task learned it, or its reverse: the score of
`item:rev_buys:user` is that of `user:buys:item` with both ends exchanged.

Legend: n pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hvdtma.graph.source import Pairs
from hvdtma.graph.typed.schema import GraphSchema
from hvdtma.tasks import Task


@dataclass(frozen=True)
class ScoredTypes:
    """The edge types of a typed graph that a model scores.

    Attributes:
        schema: of the graph.
        learned: the numbers of the edge types that the task learned.
        where: the graph or the model, for messages.
    """

    schema: GraphSchema
    learned: tuple[int, ...]
    where: str

    @classmethod
    def of(cls, task: Task, schema: GraphSchema | None, where: str) -> ScoredTypes | None:
        """Those of a task; None in a graph without node types. A task may not say: then all."""
        if schema is None:
            return None
        targets = getattr(task, "targets", None)
        numbers = range(len(schema.edge_types)) if targets is None else targets.numbers
        return cls(schema, tuple(numbers), where)

    @cached_property
    def _learned_of(self) -> dict[int, int]:
        """For the reverse of a learned edge type the learned one."""
        pairs = ((self.schema.reverse_of(number), number) for number in self.learned)
        return {reverse: number for reverse, number in pairs if reverse is not None}

    @property
    def names(self) -> list[str]:
        """The names of the learned edge types."""
        return [str(self.schema.edge_types[number]) for number in self.learned]

    def number(self, name: str | None) -> int:
        """The number of a named edge type; None: the only one that was learned.

        Raises UserError for an unknown type, for one that was not learned, and if none is named but
        several were learned.
        """
        valid = f"valid: {', '.join(self.names)}"
        if name is None:
            if len(self.learned) == 1:
                return self.learned[0]
            raise UserError(
                f"{self.where} has {len(self.learned)} edge types that can be scored; name one "
                f"with --type; {valid}"
            )
        (number,) = self.schema.edge_type_numbers(name, "--type")
        if number in self.learned or number in self._learned_of:
            return number
        raise UserError(
            f"--type {name}: the model of {self.where} did not learn this edge type; {valid}, or "
            "the reverse of one; train with this type in task.target to score it"
        )

    def scored_as(self, number: int) -> tuple[int, bool]:
        """The learned edge type that scores one, and whether the ends are exchanged for it."""
        if number in self.learned:
            return number, False
        return self._learned_of[number], True

    def as_learned(self, pairs: Pairs) -> Pairs:
        """The same pairs in the direction of the learned edge types."""
        assert pairs.edge_type is not None
        numbers, row_n = np.unique(pairs.edge_type, return_inverse=True)
        ways = [self.scored_as(number) for number in numbers.tolist()]
        types_n = np.array([number for number, _ in ways], np.int16)[row_n]
        turned_n = np.array([turned for _, turned in ways], bool)[row_n]
        src_n = np.where(turned_n, pairs.dst, pairs.src)
        return Pairs(src_n, np.where(turned_n, pairs.src, pairs.dst), edge_type=types_n)


def number_of_type(name: str | None, names: list[str], where: str) -> int | None:
    """The number of an edge type in a graph without node types; None without edge types.

    Raises UserError for an unknown type, and if there are several and none is named.
    """
    if name is None:
        if len(names) > 1:
            raise UserError(
                f"{where} has {len(names)} edge types; name one with --type; "
                f"valid: {', '.join(names)}"
            )
        return 0 if names else None
    if not names:
        raise UserError(f"{where} has no edge types; leave out --type {name}")
    if name not in names:
        raise UserError(f"{where} has no edge type '{name}'; {nearest(name, names)}")
    return names.index(name)


def labelled_type(schema: GraphSchema | None, name: str | None, where: str) -> int | None:
    """The number of the node type whose labels a model predicts; None without node types.

    Raises UserError if another type is named.
    """
    if schema is None:
        if name is not None:
            raise UserError("--type is for --pairs")
        return None
    assert schema.label_type is not None  # a task without labels predicts nothing of nodes
    number = schema.node_type_number(schema.label_type, "the type of the labels")
    if name is not None and schema.node_type_number(name, "--type") != number:
        raise UserError(
            f"--type {name}: the model of {where} predicts labels of '{schema.label_type}'"
        )
    return number


def named_node_type(schema: GraphSchema | None, name: str | None, where: str) -> int | None:
    """The number of a node type that must be named, as ids are unique within a type only.

    None in a graph without node types. Raises UserError for an unknown type, and if none is named.
    """
    if schema is None:
        if name is not None:
            raise UserError(f"{where} has no node types; leave out type={name!r}")
        return None
    if name is None:
        if len(schema.node_types) == 1:
            return 0
        raise UserError(
            f"{where} has {len(schema.node_types)} node types; name that of the id with type=; "
            f"valid: {', '.join(schema.node_types)}"
        )
    return schema.node_type_number(name, "type")
