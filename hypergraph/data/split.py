"""Holding hyperedges out without leaking them: neither directly, nor by way of intra graphs.

Hyperedges that a given split holds out of other relations are left out of training, too.

Legend: n hyperedges, t of them to train on, G groups that stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError, check_seed
from hvdtma.storage.array_writer import digest
from hypergraph.data.checks import row_keys
from hypergraph.data.content import digest_of_text
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.relation import TEST, TRAIN, VALID, Relation, part_codes

LEFT_OUT = -1


@dataclass(frozen=True)
class Split:
    """A hypergraph to train on, and what was held out of one of its relations.

    Attributes:
        train: the hypergraph of the hyperedges that are left, of every relation that came with a
            split; intra graphs that were made of such a relation are made anew of these.
        relation: the relation's name.
        valid, test: what is held out; either may be empty.
        num_left_out: hyperedges of the training (or valid) part that are also in a later part,
            and for that in none but the latest.
    """

    train: MultimodalHypergraph
    relation: str
    valid: Relation
    test: Relation
    num_left_out: int = 0

    def checksum(self) -> str:
        """One checksum of all content, the same on every machine."""
        held_out = [x for part in (self.valid, self.test) for x in (part.indices, part.values)]
        parts = [digest(x) for x in held_out if x is not None]
        return digest_of_text([self.train.checksum(), self.relation, *parts])


def split_relation(
    graph: MultimodalHypergraph,
    relation: str,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    seen: Sequence[str] = (),
    together: str | None = None,
) -> Split:
    """Hold out random hyperedges of a relation; one that is repeated falls on one side whole.

    Args:
        valid, test: shares of the distinct hyperedges.
        seed: the same one gives the same split.
        seen: modalities whose held-out items must be in a training hyperedge, too. Others may be
            new to training: an artwork that is in a single hyperedge is, when that is held out.
        together: a modality: all hyperedges of one of its items fall on one side.

    Raises UserError for an unknown relation; for a modality in `seen` or `together` that it does
    not join; for shares that leave nothing to train on, or another relation's given split that
    does; and where `seen` leaves too few hyperedges that can be held out.
    """
    check_seed(seed)
    its = graph.relation(relation)
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise UserError(
            f"valid is {valid} and test is {test}; they are shares of the hyperedges, from 0, and "
            "together below 1"
        )
    keys = row_keys(its.indices) if together is None else its.column(together)
    rank_n, num_groups = _shuffled(keys, seed)
    free_G = np.ones(num_groups, bool)
    for name in seen:
        free_G[rank_n[_first_of_each(its.column(name), rank_n)]] = False
    num_valid, num_test = (_count(share, num_groups) for share in (valid, test))
    free = np.flatnonzero(free_G)
    most = len(free) if seen else num_groups - 1
    if num_valid + num_test > most:
        raise UserError(
            f"relation '{relation}' has {num_groups:,} hyperedges (or groups) apart, of which at "
            f"most {most:,} can be held out{_why(seen)}; {num_valid:,} for valid and {num_test:,} "
            "for test are asked for: ask for smaller shares"
        )
    part_G = np.full(num_groups, TRAIN, np.int8)
    part_G[free[:num_valid]] = VALID
    part_G[free[num_valid : num_valid + num_test]] = TEST
    return _parted(graph, its, part_G[rank_n], 0)


def given_split(
    graph: MultimodalHypergraph,
    relation: str,
    part: Any = None,
    *,
    valid: float = 0.0,
    seed: int = 0,
) -> Split:
    """The split that says for each hyperedge of a relation: `train`, `valid` or `test`.

    Args:
        part: [n] of these words; None: what came with the relation.
        valid: where none is for validation, the share of the distinct training hyperedges that is
            held out for it at random.
        seed: the same one holds out the same.

    A hyperedge that is in several parts stays in the last of them only: what is tested on is
    never trained on. Raises UserError where no hyperedge is left to train on, for unknown words,
    and for a share below 0 or not below 1.
    """
    check_seed(seed)
    if not 0 <= valid < 1:
        raise UserError(f"valid is {valid}; it is a share of the training part, from 0, below 1")
    its = graph.relation(relation)
    if part is None:
        part = its.part
    elif its.num_repeats and len(part) == its.num_hyperedges + its.num_repeats:
        raise UserError(
            f"relation '{relation}' has {its.num_hyperedges:,} hyperedges since "
            f"{its.num_repeats:,} repeats were dropped, but {len(part):,} parts are given; "
            "give the parts to Relation(..., part=...), which drops repeats of both"
        )
    if part is None:
        raise UserError(
            f"relation '{relation}' came without a split; give the part of each hyperedge, or use "
            "split_relation"
        )
    codes = _latest(its, part_codes(part, its.num_hyperedges, f"relation '{relation}'"))
    num_left_out = int((codes == LEFT_OUT).sum())
    if not (codes == VALID).any():
        codes = _with_valid(its, codes, valid, seed)
    return _parted(graph, its, codes, num_left_out)


def _with_valid(relation: Relation, part_n: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The parts, with a share of the training part held out for validation, but not all of it."""
    train = np.flatnonzero(part_n == TRAIN)
    if not len(train):
        return part_n
    rank_t, num_groups = _shuffled(row_keys(relation.indices[train]), seed)
    held_out_t = rank_t < min(_count(share, num_groups), num_groups - 1)
    changed_n = part_n.copy()
    changed_n[train[held_out_t]] = VALID
    return changed_n


def _parted(
    graph: MultimodalHypergraph, relation: Relation, part_n: np.ndarray, num_left_out: int
) -> Split:
    valid, test = (relation.take(np.flatnonzero(part_n == part)) for part in (VALID, TEST))
    left = {relation.name: _training(relation, part_n)}
    for other in graph.relations.values():
        if other.name != relation.name and other.part is not None:
            left[other.name] = _training(other, _latest(other, other.part))
    rest = replace(graph, relations={**graph.relations, **left})
    for modality in graph.modalities.values():
        recipe = None if modality.intra is None else modality.intra.recipe
        its_left = left.keys() & graph.relation_names[modality.name]
        if recipe is not None and any(map(recipe.uses, its_left)):
            rest = rest.with_intra(modality.name, recipe)
    return Split(rest, relation.name, valid, test, num_left_out)


def _latest(relation: Relation, part_n: np.ndarray) -> np.ndarray:
    """The parts, `LEFT_OUT` for a hyperedge that is in a later part as well."""
    _, group_n = np.unique(row_keys(relation.indices), return_inverse=True)
    latest_G = np.zeros(int(group_n.max()) + 1, np.int8)
    np.maximum.at(latest_G, group_n, part_n)
    return np.where(part_n < latest_G[group_n], LEFT_OUT, part_n)


def _training(relation: Relation, part_n: np.ndarray) -> Relation:
    """What is trained on; raises UserError if that is nothing."""
    train = relation.take(np.flatnonzero(part_n == TRAIN))
    if not train.num_hyperedges:
        raise UserError(
            f"relation '{relation.name}': no hyperedge is left to train on; hold fewer out"
        )
    return train


def _shuffled(keys_n: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """The random rank [n] of each key among the distinct ones, and how many these are."""
    _, group_n = np.unique(keys_n, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(group_n.max()) + 1)
    return np.argsort(order)[group_n], len(order)


def _first_of_each(items_n: np.ndarray, rank_n: np.ndarray) -> np.ndarray:
    """Where each item comes first in the order of ranks."""
    in_order = np.argsort(rank_n, kind="stable")
    _, first = np.unique(items_n[in_order], return_index=True)
    return in_order[first]


def _count(share: float, num_groups: int) -> int:
    """At least one where any are asked for."""
    return max(round(share * num_groups), 1) if share else 0


def _why(seen: Sequence[str]) -> str:
    return f" while every item of {', '.join(seen)} is trained on" if seen else ""
