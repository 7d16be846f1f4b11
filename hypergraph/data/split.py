"""Splits that hold out hyperedges of a relation, without leaks through intra graphs.

Hyperedges that a given split holds out of other relations are not trained on either.

Legend: n hyperedges, t training hyperedges, G groups of hyperedges that stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hvdtma.core.digests import digest_of_json
from hvdtma.core.errors import UserError, check_seed
from hvdtma.storage.array_writer import digest
from hypergraph.data.checks import row_keys
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.relation import TEST, TRAIN, VALID, Relation, part_codes

LEFT_OUT = -1


@dataclass(frozen=True)
class Split:
    """A hypergraph to train on, and the hyperedges that are held out of one of its relations.

    Attributes:
        train: the hypergraph without held-out hyperedges, also of other relations that came with
            a split. Intra graphs that were made by a recipe from these relations are made again
            from the training hyperedges.
        relation: the name of the relation.
        valid, test: the held-out hyperedges; either may be empty.
        num_left_out: hyperedges that were removed from the training or validation part, since a
            later part has them too.
    """

    train: MultimodalHypergraph
    relation: str
    valid: Relation
    test: Relation
    num_left_out: int = 0

    def checksum(self) -> str:
        """A checksum of all content, the same on every machine."""
        held_out = [x for part in (self.valid, self.test) for x in (part.indices, part.values)]
        parts = [digest(x) for x in held_out if x is not None]
        return digest_of_json([self.train.checksum(), self.relation, *parts])


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
    """Hold out random hyperedges of a relation; all repeats of a hyperedge are in the same part.

    Args:
        valid, test: shares of the distinct hyperedges.
        seed: the same seed gives the same split.
        seen: modalities whose held-out items must also be in a training hyperedge. Items of other
            modalities may be new: an artwork in a single hyperedge is, if that one is held out.
        together: a modality; all hyperedges of one of its items are in the same part.

    Raises UserError for an unknown relation, for a modality in `seen` or `together` that is not in
    it, for shares (or another relation's given split) that leave nothing to train on, and if
    `seen` leaves too few hyperedges that can be held out.
    """
    check_seed(seed)
    its = graph.relation(relation)
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise UserError(
            f"valid is {valid} and test is {test}; they are shares of the hyperedges: at least 0, "
            "and together below 1"
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
            f"relation '{relation}' has {num_groups:,} distinct hyperedges (or groups), of which "
            f"at most {most:,} can be held out{_why(seen)}; the shares ask for {num_valid:,} to "
            f"validate and {num_test:,} to test: give smaller shares"
        )
    part_G = np.full(num_groups, TRAIN, np.int8)
    part_G[free[:num_valid]] = VALID
    part_G[free[num_valid : num_valid + num_test]] = TEST
    return _split(graph, its, part_G[rank_n], 0)


def given_split(
    graph: MultimodalHypergraph,
    relation: str,
    part: Any = None,
    *,
    valid: float = 0.0,
    seed: int = 0,
) -> Split:
    """Split a relation by a given part of each hyperedge: `train`, `valid` or `test`.

    A hyperedge in several parts is kept in the last of them only: test hyperedges are never
    trained on.

    Args:
        part: [n] of these words; None: the parts that came with the relation.
        valid: if no hyperedge is for validation, the share of the distinct training hyperedges
            that is held out for it at random.
        seed: the same seed holds out the same hyperedges.

    Raises UserError if no hyperedge is left to train on, for unknown words, and for a share below 0
    or not below 1.
    """
    check_seed(seed)
    if not 0 <= valid < 1:
        raise UserError(
            f"valid is {valid}; it is a share of the training part, at least 0 and below 1"
        )
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
            f"relation '{relation}' came without a split; give the part of each hyperedge, or call "
            "split_relation"
        )
    codes = _latest(its, part_codes(part, its.num_hyperedges, f"relation '{relation}'"))
    num_left_out = int((codes == LEFT_OUT).sum())
    if not (codes == VALID).any():
        codes = _with_valid(its, codes, valid, seed)
    return _split(graph, its, codes, num_left_out)


def _with_valid(relation: Relation, part_n: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The parts, with a share of the training part moved to validation, but not all of it."""
    train = np.flatnonzero(part_n == TRAIN)
    if not len(train):
        return part_n
    rank_t, num_groups = _shuffled(row_keys(relation.indices[train]), seed)
    held_out_t = rank_t < min(_count(share, num_groups), num_groups - 1)
    changed_n = part_n.copy()
    changed_n[train[held_out_t]] = VALID
    return changed_n


def _split(
    graph: MultimodalHypergraph, relation: Relation, part_n: np.ndarray, num_left_out: int
) -> Split:
    valid, test = (relation.take(np.flatnonzero(part_n == part)) for part in (VALID, TEST))
    reduced = {relation.name: _training(relation, part_n)}
    for other in graph.relations.values():
        if other.name != relation.name and other.part is not None:
            reduced[other.name] = _training(other, _latest(other, other.part))
    train = replace(graph, relations={**graph.relations, **reduced})
    for modality in graph.modalities.values():
        recipe = None if modality.intra is None else modality.intra.recipe
        its_reduced = reduced.keys() & graph.relation_names[modality.name]
        if recipe is not None and any(map(recipe.uses, its_reduced)):
            train = train.with_intra(modality.name, recipe)
    return Split(train, relation.name, valid, test, num_left_out)


def _latest(relation: Relation, part_n: np.ndarray) -> np.ndarray:
    """The parts; `LEFT_OUT` for a hyperedge that is also in a later part."""
    _, group_n = np.unique(row_keys(relation.indices), return_inverse=True)
    latest_G = np.zeros(int(group_n.max()) + 1, np.int8)
    np.maximum.at(latest_G, group_n, part_n)
    return np.where(part_n < latest_G[group_n], LEFT_OUT, part_n)


def _training(relation: Relation, part_n: np.ndarray) -> Relation:
    """The training hyperedges; raises UserError if there are none."""
    train = relation.take(np.flatnonzero(part_n == TRAIN))
    if not train.num_hyperedges:
        raise UserError(
            f"relation '{relation.name}': no hyperedge is left to train on; hold out fewer"
        )
    return train


def _shuffled(keys_n: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """A random rank [n] of each key among the distinct keys, and the number of distinct keys."""
    _, group_n = np.unique(keys_n, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(group_n.max()) + 1)
    return np.argsort(order)[group_n], len(order)


def _first_of_each(items_n: np.ndarray, rank_n: np.ndarray) -> np.ndarray:
    """The position of each item's first hyperedge in the order of ranks."""
    in_order = np.argsort(rank_n, kind="stable")
    _, first = np.unique(items_n[in_order], return_index=True)
    return in_order[first]


def _count(share: float, num_groups: int) -> int:
    """A share of the groups, at least one unless the share is 0."""
    return max(round(share * num_groups), 1) if share else 0


def _why(seen: Sequence[str]) -> str:
    return f" if every item of {', '.join(seen)} is to be trained on" if seen else ""
