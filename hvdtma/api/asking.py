"""Ask a trained model about pairs and nodes, by the ids of its graph.

Legend: n pairs, H width of embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hvdtma.api.arguments import check_keywords, names_arguments
from hvdtma.evaluation.answers import AskedNodes, node_answers, pair_answers, partner_answers
from hvdtma.evaluation.predictor import Predictor
from hvdtma.graph.ids.known import known_rows, one_id
from hvdtma.graph.ingest.asked_ids import asked_nodes, asked_pairs
from hvdtma.graph.ingest.options import ReadOptions

READ = ("src_column", "dst_column", "type_column", "id_column", "header", "delimiter", "quote",
        "comment", "id_type", "bad_rows")  # fmt: skip


class TopK(NamedTuple):
    """The best partners of a node, the best first.

    Attributes:
        ids: as they were given to `build`.
        scores: float32.
    """

    ids: list[int] | list[str]
    scores: np.ndarray


class ModelOnGraph:
    """A trained model that can be asked about pairs and nodes of a graph.

    The nodes are embedded when the first question needs it, and their embeddings are kept.
    """

    @property
    def predictor(self) -> Predictor:
        """The model, its store and the embeddings."""
        raise NotImplementedError

    @names_arguments
    def score(self, pairs: Any, type: str | None = None, **options: Any) -> np.ndarray:
        """Scores float32 [n] of pairs, in their order; likely links have higher scores.

            run.score([("ann", "bob"), ("ann", "eve")])

        Args:
            pairs: a list of pairs of ids, an array [n, 2], a frame, a file or a query.
            type: the edge type, if edges have types.
            options: how a table is read: `src_column`, `dst_column`, `type_column`, `header`, ...

        Raises UserError for unknown ids, which are named, and unknown types.
        """
        asked = asked_pairs(pairs, read_options("score", options))
        return pair_answers(self.predictor, asked, type)["score"].to_numpy()

    @names_arguments
    def topk(
        self, id: int | str, k: int = 10, *, type: str | None = None, known: str = "exclude"
    ) -> TopK:
        """The k best partners of a node among all candidates of the edge type.

        Args:
            id: the source of the links.
            k: how many; if fewer candidates are left, fewer are returned.
            type: the edge type, if edges have types.
            known: `exclude` leaves out training links, `include` does not.

        Raises UserError for an unknown id or type, and for a k beyond the number of candidates.
        """
        asked = AskedNodes(one_id(id), "")
        found = partner_answers(self.predictor, asked, k, type, known=known, skip_unknown=None)
        return TopK(found["partner"].to_pylist(), found["score"].to_numpy())

    @names_arguments
    def embedding(self, id: int | str) -> np.ndarray:
        """The embedding float32 [H] of a node; raises UserError for an unknown id."""
        (node,), _ = known_rows(self.predictor.ids, [one_id(id)], "", skip=None)
        return self.predictor.embeddings(node)[0]

    @names_arguments
    def predict(self, nodes: Any = None, **options: Any) -> pa.Table:
        """Predicted labels of nodes: a table with the column `id` and those of the task.

        Classes: `class`, its `probability`, and `p_NAME` of each class. Several labels: `p_NAME` of
        each. Regression: `predicted_NAME` of each target.

        Args:
            nodes: a list or an array of ids, a frame, a file or a query; None: all nodes.
            options: how a table is read: `id_column`, `header`, ...

        Raises UserError for unknown ids, and for a model of links.
        """
        asked = nodes_or_all(nodes, read_options("predict", options))
        return pa.concat_tables(list(node_answers(self.predictor, asked)))


def read_options(function: str, options: Mapping[str, Any]) -> ReadOptions:
    """The options for reading a table; raises UserError for others."""
    check_keywords(function, set(options), list(READ))
    return ReadOptions(**options)


def nodes_or_all(nodes: Any, options: ReadOptions) -> AskedNodes | None:
    """The ids that are given; None, which stands for all nodes, without any."""
    return None if nodes is None else AskedNodes(*asked_nodes(nodes, options))
