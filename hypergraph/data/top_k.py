"""The k most similar rows to each row of a sparse matrix, without an N x N matrix.

Legend: N rows, P columns, k neighbours.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hvdtma.core.compiled import njit
from hvdtma.core.threads import map_in_order, num_workers

ROWS_PER_BLOCK = 1024


def most_similar(unit_NP: sp.csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows with the largest cosine above 0 to each row, among rows of length 1 or 0.

    Memory is O(N) per thread, whatever the number of columns. Of equally similar rows, the next
    ones in cyclic order are taken: equal rows then form a ring, instead of all being neighbours of
    the first.

    Returns: rows int64 [N, k], -1 if there are fewer than k, and cosines float32 [N, k].
    """
    rows = sp.csr_array(unit_NP, dtype=np.float32)
    columns = sp.csc_array(rows)
    index_Nk = np.full((rows.shape[0], k), -1, np.int64)
    cosine_Nk = np.zeros((rows.shape[0], k), np.float32)

    def work(start: int) -> None:
        block = slice(start, start + ROWS_PER_BLOCK)
        _of_block(
            start, rows.indptr, rows.indices, rows.data,
            columns.indptr, columns.indices, columns.data,
            index_Nk[block], cosine_Nk[block],
        )  # fmt: skip

    for _ in map_in_order(work, range(0, rows.shape[0], ROWS_PER_BLOCK), num_workers()):
        pass
    return index_Nk, cosine_Nk


@njit(cache=True, nogil=True)
def _of_block(  # type: ignore[no-untyped-def]
    start, row_indptr, row_indices, row_data, col_indptr, col_indices, col_data, index, cosine
):
    num_rows = len(row_indptr) - 1
    total = np.zeros(num_rows, np.float32)
    seen_by = np.full(num_rows, -1, np.int32)
    touched = np.empty(num_rows, np.int32)
    for number in range(len(index)):
        row = start + number
        num = 0
        for at in range(row_indptr[row], row_indptr[row + 1]):
            column, value = row_indices[at], row_data[at]
            for entry in range(col_indptr[column], col_indptr[column + 1]):
                other = col_indices[entry]
                if seen_by[other] != row:
                    seen_by[other] = row
                    touched[num] = other
                    total[other] = 0.0
                    num += 1
                total[other] += value * col_data[entry]
        least = 0.0  # the least similarity among the k best so far
        for at in range(num):
            other = touched[at]
            if total[other] >= least and total[other] > 0.0 and other != row:
                _offer(other, total[other], row, num_rows, index[number], cosine[number])
                least = cosine[number, -1]


@njit(cache=True, nogil=True)
def _offer(other, similarity, row, num_rows, index, cosine):  # type: ignore[no-untyped-def]
    """Insert a row into the k best so far, sorted from the best, if it is one of them."""
    at = len(index)
    steps = (other - row) % num_rows
    while at > 0:
        before = index[at - 1]
        worse = similarity < cosine[at - 1]
        tied = similarity == cosine[at - 1]
        if before >= 0 and (worse or (tied and steps > (before - row) % num_rows)):
            break
        at -= 1
    if at == len(index):
        return
    for last in range(len(index) - 1, at, -1):
        index[last] = index[last - 1]
        cosine[last] = cosine[last - 1]
    index[at] = other
    cosine[at] = similarity
