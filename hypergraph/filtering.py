"""The items that complete true hyperedges, for filtered ranking.

A query is a hyperedge with the item of one modality hidden.

Legend: n queries, K arity, g true hyperedges, Q distinct queries, p pairs of a query and an item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypergraph.data.checks import row_keys


@dataclass(frozen=True)
class FilteredItems:
    """The true items of queries: `item[start[q] : start[q + 1]]` of the distinct query q.

    Attributes:
        num_items: number of items of the hidden modality.
        query_n: the distinct query of each query.
        start: int64 [Q + 1].
        item: the true items, ascending for each query, without repeats.
    """

    num_items: int
    query_n: np.ndarray
    start: np.ndarray
    item: np.ndarray

    @classmethod
    def of(
        cls, queries_nK: np.ndarray, true_gK: np.ndarray, k: int, num_items: int
    ) -> FilteredItems:
        """The true items of queries whose k-th item is hidden; takes O((g + n) log n) time."""
        others = [j for j in range(queries_nK.shape[1]) if j != k]
        keys = row_keys(np.concatenate([true_gK[:, others], queries_nK[:, others]]))
        key_g, key_n = np.split(keys, [len(true_gK)])
        key_Q, query_n = np.unique(key_n, return_inverse=True)
        query_g = np.minimum(np.searchsorted(key_Q, key_g), len(key_Q) - 1)
        (answers,) = np.nonzero(key_Q[query_g] == key_g)  # most hyperedges answer no query
        pairs = np.unique(query_g[answers] * num_items + true_gK[answers, k])
        query_p, item_p = np.divmod(pairs, num_items)
        start = np.searchsorted(query_p, np.arange(len(key_Q) + 1))
        return cls(num_items, query_n.reshape(-1), start, item_p)

    def pairs(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """(row, item) [p]: all true items of some of the queries; rows count from 0."""
        query = self.query_n[rows]
        start, count = self.start[query], np.diff(self.start)[query]
        row_p = np.repeat(np.arange(len(query)), count)
        first_p = np.repeat(start - (np.cumsum(count) - count), count)
        return row_p, self.item[first_p + np.arange(len(row_p))]

    def draw_false(self, rows: slice, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One false item for each of some queries, uniform over the items that are not true.

        Returns: (row, item); rows count from 0. A query that every item completes has no row.
        """
        query = self.query_n[rows]
        count = np.diff(self.start)[query]
        free = self.num_items - count
        drawn = random.integers(0, np.maximum(free, 1))
        row_p, item_p = self.pairs(rows)
        rank_p = np.arange(len(row_p)) - np.repeat(np.cumsum(count) - count, count)
        below_p = item_p - rank_p <= drawn[row_p]  # true items below the drawn one
        item = drawn + np.bincount(row_p[below_p], minlength=len(query))
        (row,) = np.nonzero(free)
        return row, item[row]
