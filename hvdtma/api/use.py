"""Predictions and recommendations of a run's best round."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.api.asking import ModelOnGraph, nodes_or_all, read_options
from hvdtma.api.models import load_model
from hvdtma.api.run import Run
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.evaluation.answers import AskedNodes, node_answers, pair_answers, partner_answers
from hvdtma.evaluation.predictor import Predictor
from hvdtma.graph.ids.known import one_id
from hvdtma.graph.ingest.asked_ids import asked_nodes, asked_pairs
from hvdtma.tables.write import check_output, write_table


class WrittenRows(NamedTuple):
    """A file of answers: its path and its number of rows."""

    path: Path
    num_rows: int


@names_arguments
def predict(
    run: ModelOnGraph | FilePath,
    out: FilePath | None = None,
    *,
    pairs: Any = None,
    nodes: Any = None,
    type: str | None = None,
    store: FilePath | None = None,
    skip_unknown: bool = False,
    overwrite: bool = False,
    memory_gb: float | None = None,
    **options: Any,
) -> pa.Table | WrittenRows:
    """Scores of pairs, or predicted labels of nodes, with the model of a run's best round.

        hvdtma.predict("runs/a", "scores.parquet", pairs="pairs.csv")
        table = hvdtma.predict("runs/b")  # of all nodes

    Args:
        run: a run or its path; a pretrained model, with a `store`; or one that is on a store.
        out: a file to write, `.parquet` or `.csv`; None: return a table.
        pairs: a table of pairs (a file, a frame, a query), a list of pairs of ids, or an array
            [n, 2]. The answer has the columns `src`, `dst`, `type` (if edges have types), `score`.
        nodes: a table of ids, a list or an array of ids; None: all nodes. For the columns of the
            answer see `Run.predict`.
        type: the edge type of the pairs, if edges have types; or name a `type_column`.
        store: another store to ask about, such as a later one with new nodes (`features_like`);
            None: the run's own.
        skip_unknown: leave out pairs and nodes with unknown ids, and print how many.
        overwrite: replace a file that is there.
        memory_gb: memory limit of this process in GiB; None: the run's own limit. The pairs or ids
            and the answer are held besides.
        options: how tables are read: `src_column`, `dst_column`, `type_column`, `id_column`,
            `header`, `delimiter`, `quote`, `comment`, `id_type`, `bad_rows`, as for `build`.

    Raises UserError for unknown ids and types, for a model that does not predict what is asked,
    and for a store that does not fit it.
    """
    reading = read_options("predict", options)
    if pairs is not None and nodes is not None:
        raise UserError("--pairs and --nodes are both given; leave one of them out")
    if pairs is None and type is not None:
        raise UserError("--type is for --pairs")
    _check_out(out, overwrite=overwrite)
    predictor = predictor_of(run, store, memory_gb)
    answers: Iterable[pa.Table]
    if pairs is not None:
        asked = asked_pairs(pairs, reading)
        answers = [pair_answers(predictor, asked, type, skip_unknown=skip_unknown)]
    else:
        asked_for = nodes_or_all(nodes, reading)
        answers = node_answers(predictor, asked_for, skip_unknown=skip_unknown)
    return _returned(answers, out, overwrite=overwrite)


@names_arguments
def recommend(
    run: ModelOnGraph | FilePath,
    out: FilePath | None = None,
    *,
    node: int | str | None = None,
    nodes: Any = None,
    k: int = 10,
    type: str | None = None,
    known: str = "exclude",
    approximate: bool = False,
    store: FilePath | None = None,
    skip_unknown: bool = False,
    overwrite: bool = False,
    memory_gb: float | None = None,
    **options: Any,
) -> pa.Table | WrittenRows:
    """The k best partners of nodes among all candidates, as destinations of links from them.

        hvdtma.recommend("runs/a", node="lodash", k=10)
        hvdtma.recommend("runs/a", "partners.parquet", nodes="ids.csv")

    The answer has the columns `id`, `rank` (from 1), `partner` and `score`. Candidates are the
    nodes that negatives of the edge type are drawn from, without the node itself. Of equal scores,
    the node that comes first in the store is first.

    Args:
        run, out, store, skip_unknown, overwrite, memory_gb, options: see `predict`.
        node: an id.
        nodes: a table of ids, a list or an array of ids, in place of `node`.
        k: how many partners; a node with fewer candidates left has fewer.
        type: the edge type, if edges have types.
        known: `exclude` leaves out the training links of the node (of the type); links that are
            held out are not known. `include` leaves out none.
        approximate: search an index of FAISS (`pip install faiss-cpu`) in place of all candidates,
            and print the share of the exact partners that it finds.

    Raises UserError for unknown ids and types, for a k beyond the number of candidates, for a model
    that scores no pairs, and for a store that does not fit it.
    """
    reading = read_options("recommend", options)
    if (node is None) == (nodes is None):
        raise UserError("give --node ID or --nodes FILE, one of them")
    _check_out(out, overwrite=overwrite)
    unknown: bool | None = skip_unknown
    if nodes is not None:
        asked = AskedNodes(*asked_nodes(nodes, reading))
    else:
        asked, unknown = AskedNodes(one_id(node), ""), None  # without it, nothing is left
    answer = partner_answers(
        predictor_of(run, store, memory_gb),
        asked,
        k,
        type,
        known=known,
        skip_unknown=unknown,
        approximate=approximate,
    )
    return _returned([answer], out, overwrite=overwrite)


def predictor_of(
    run: ModelOnGraph | FilePath, store: FilePath | None, memory_gb: float | None
) -> Predictor:
    """The predictor of a run, which keeps its embeddings; of another store or limit a new one."""
    if isinstance(run, ModelOnGraph):
        if store is None and memory_gb is None:
            return run.predictor
        if not isinstance(run, Run):
            raise UserError("a pretrained model has its store already; leave out --store")
        run = run.path
    return Predictor.of(load_model(run, store, scored=False), memory_gb)


def _returned(
    pieces: Iterable[pa.Table], out: FilePath | None, *, overwrite: bool
) -> pa.Table | WrittenRows:
    """The pieces as one table, or written to a file."""
    if out is None:
        return pa.concat_tables(list(pieces))
    path = expanded(out)
    return WrittenRows(path, write_table(path, pieces, overwrite=overwrite))


def _check_out(out: FilePath | None, *, overwrite: bool) -> None:
    """Raise UserError, before anything is computed, for a file that cannot be written."""
    if out is not None:
        check_output(expanded(out), overwrite=overwrite)
