"""Which items are known to complete queries: hyperedges with the item of one modality hidden.

Legend: n queries, K arity, g known hyperedges, Q distinct queries, p pairs of a query and an item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypergraph.data.checks import row_keys


@dataclass(frozen=True)
class FilteredItems:
    """The items known to be true in one place: item[begin[q] : begin[q + 1]] of a query q.

    Attributes:
        num_items: of the modality that is hidden.
        query_n: which of the distinct queries each one is.
        begin: int64 [Q + 1].
        item: ascending for each query, without repeats.
    """

    num_items: int
    query_n: np.ndarray
    begin: np.ndarray
    item: np.ndarray

    @classmethod
    def of(
        cls, queries_nK: np.ndarray, known_gK: np.ndarray, k: int, num_items: int
    ) -> FilteredItems:
        """For queries whose k-th item is hidden; (g + n) log n, and a sort of what answers them."""
        others = [j for j in range(queries_nK.shape[1]) if j != k]
        keys = row_keys(np.concatenate([known_gK[:, others], queries_nK[:, others]]))
        key_g, key_n = np.split(keys, [len(known_gK)])
        asked_Q, query_n = np.unique(key_n, return_inverse=True)
        query_g = np.minimum(np.searchsorted(asked_Q, key_g), len(asked_Q) - 1)
        (answers,) = np.nonzero(asked_Q[query_g] == key_g)  # most know nothing of the queries
        pairs = np.unique(query_g[answers] * num_items + known_gK[answers, k])
        query_p, item_p = np.divmod(pairs, num_items)
        begin = np.searchsorted(query_p, np.arange(len(asked_Q) + 1))
        return cls(num_items, query_n.reshape(-1), begin, item_p)

    def pairs(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """(row, item) [p] of all known items of some of the queries, rows counted from 0."""
        query = self.query_n[rows]
        begin, count = self.begin[query], np.diff(self.begin)[query]
        row_p = np.repeat(np.arange(len(query)), count)
        first_p = np.repeat(begin - (np.cumsum(count) - count), count)
        return row_p, self.item[first_p + np.arange(len(row_p))]

    def draw_false(self, rows: slice, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """For some of the queries each, one item that is not known to be true, all alike likely.

        Returns: (row, item); a query that all items are known of has none, and is no row.
        """
        query = self.query_n[rows]
        count = np.diff(self.begin)[query]
        free = self.num_items - count
        drawn = random.integers(0, np.maximum(free, 1))
        row_p, item_p = self.pairs(rows)
        place_p = np.arange(len(row_p)) - np.repeat(np.cumsum(count) - count, count)
        passed_p = item_p - place_p <= drawn[row_p]  # known items that stand before the drawn one
        item = drawn + np.bincount(row_p[passed_p], minlength=len(query))
        (has,) = np.nonzero(free)
        return has, item[has]
