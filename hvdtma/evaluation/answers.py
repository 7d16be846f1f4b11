"""Answers of a trained model as tables, with ids as the graph has them.

Legend: n pairs, Q nodes, k partners.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from hvdtma.core.bounds import check_whole
from hvdtma.core.console import console
from hvdtma.core.errors import UserError, nearest
from hvdtma.evaluation.approximate import recommend_approximately
from hvdtma.evaluation.predictor import Predictor
from hvdtma.evaluation.recommend import recommend
from hvdtma.graph.ids.known import known_rows
from hvdtma.graph.ingest.asked_ids import AskedPairs
from hvdtma.graph.source import Pairs
from hvdtma.tables.columns import Column, positions
from hvdtma.tasks import predicts_nodes, scores_pairs

KNOWN = ("exclude", "include")
NODES_AT_ONCE = 1 << 16


class AskedNodes(NamedTuple):
    """Ids as they were given, and their origin for messages."""

    ids: Column
    where: str


def pair_answers(
    predictor: Predictor,
    asked: AskedPairs,
    type_name: str | None = None,
    *,
    skip_unknown: bool | None = False,
) -> pa.Table:
    """The columns `src`, `dst`, `type` (if edges have types) and `score` float32 [n].

    Args:
        type_name: the edge type of all pairs, if they have none of their own.
        skip_unknown: whether pairs with an unknown id are left out and counted; None: they cannot
            be.

    Raises UserError for unknown ids and types, and if the model scores no pairs.
    """
    scores_pairs(predictor.task, predictor.config.task.name)
    types = _types(predictor, asked, type_name)
    ends = (asked.src, asked.dst)
    (src, dst), rows = known_rows(predictor.ids, ends, asked.where, skip=skip_unknown)
    types = None if types is None else types[rows]
    score = predictor.score(Pairs(src, dst, edge_type=types))
    columns = {"src": predictor.ids.take(src).values, "dst": predictor.ids.take(dst).values}
    if types is not None:
        names = pa.array(predictor.store.edge_type_names, pa.string())
        columns["type"] = names.take(pa.array(types))
    return pa.table({**columns, "score": score})


def _types(predictor: Predictor, asked: AskedPairs, type_name: str | None) -> np.ndarray | None:
    """The types of the pairs int16 [n]; None for a graph without types."""
    if asked.edge_type is None or type_name is not None:
        if asked.edge_type is not None:
            raise UserError(f"{asked.where} has a column of types; leave out --type {type_name}")
        number = predictor.type_number(type_name)
        return None if number is None else np.full(len(asked.src), number, np.int16)
    names = list(predictor.store.edge_type_names)
    if not names:
        raise UserError(f"{predictor.store.path} has no edge types; leave out --type-column")
    number_n = positions(asked.edge_type, names)
    if (number_n < 0).any():
        unknown = asked.edge_type[int(np.argmax(number_n < 0))].as_py()
        raise UserError(
            f"{asked.where}: {predictor.store.path} has no edge type '{unknown}'; "
            + nearest(unknown, names)
        )
    return number_n.astype(np.int16)


def node_answers(
    predictor: Predictor, asked: AskedNodes | None = None, *, skip_unknown: bool | None = False
) -> Iterator[pa.Table]:
    """The column `id` and the task's columns, for some nodes at a time; None: all nodes.

    Raises UserError for unknown ids, and if the model predicts nothing of nodes.
    """
    predicts_nodes(predictor.task, predictor.config.task.name)
    if asked is None:
        node_Q = np.arange(predictor.store.num_nodes)
    else:
        (node_Q,), _ = known_rows(predictor.ids, [asked.ids], asked.where, skip=skip_unknown)
    start = 0
    for columns in predictor.predict(node_Q):
        number = len(next(iter(columns.values())))
        ids = predictor.ids.take(node_Q[start : start + number]).values
        yield pa.table({"id": ids, **{name: pa.array(values) for name, values in columns.items()}})
        start += number


def partner_answers(
    predictor: Predictor,
    asked: AskedNodes,
    k: int,
    type_name: str | None = None,
    *,
    known: str = "exclude",
    skip_unknown: bool | None = False,
    approximate: bool = False,
) -> pa.Table:
    """The columns `id`, `rank` from 1, `partner` and `score`, in the order of the given ids.

    Args:
        known: whether training links are left out (`exclude`) or not (`include`).
        approximate: whether an index of FAISS is searched in place of all candidates.

    Raises UserError as `hvdtma.evaluation.recommend.recommend` does, and for unknown ids and types.
    """
    if known not in KNOWN:
        raise UserError(f"known is '{known}'; {nearest(known, list(KNOWN))}")
    check_whole("k", k, least=1)
    type_number = predictor.type_number(type_name)
    (given,), _ = known_rows(predictor.ids, [asked.ids], asked.where, skip=skip_unknown)
    node_Q = given[np.sort(np.unique(given, return_index=True)[1])]
    if len(node_Q) < len(given):
        again = f"{len(given) - len(node_Q):,} of {len(given):,} ids are repeated"
        console.print(
            f"{asked.where}: {again}; each id is answered once", markup=False, soft_wrap=True
        )
    number_Q = np.zeros(len(node_Q), np.int64)
    width = min(k, predictor.store.num_nodes)  # a k beyond it is refused
    partner_Qk, score_Qk = (np.zeros((len(node_Q), width), kind) for kind in (np.int64, np.float32))
    search = recommend_approximately if approximate else recommend
    for rows, found in search(
        predictor, node_Q, k, type_number=type_number, exclude_known=known == "exclude"
    ):
        number_Q[rows], partner_Qk[rows], score_Qk[rows] = found.number, found.node, found.score
    there = np.arange(width) < number_Q[:, None]
    if not there.all():
        fewer = int((number_Q < k).sum())
        some = "1 node has" if fewer == 1 else f"{fewer:,} nodes have"
        console.print(f"{some} fewer than {k:,} candidates that are no known links", soft_wrap=True)
    row, rank = np.nonzero(there)
    return pa.table(
        {
            "id": predictor.ids.take(node_Q[row]).values,
            "rank": rank + 1,
            "partner": predictor.ids.take(partner_Qk[there]).values,
            "score": score_Qk[there],
        }
    )
