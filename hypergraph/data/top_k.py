"""The k most similar rows of a sparse matrix to each of its rows, without the N x N matrix.

Legend: N rows, P columns, k neighbours.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numba import njit

from hvdtma.core.threads import map_in_order, num_workers

ROWS_PER_BLOCK = 1024


def most_similar(unit_NP: sp.csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    """For rows of length 1 (or 0): who is most like each, and the cosine, above 0.

    A block's sums take some numbers per row of the matrix, whatever the number of columns. Of
    equally similar rows those that come next are taken, in a ring: rows that are all the same then
    form a ring, where the first of them would else be everybody's neighbour.

    Returns int64 [N, k], -1 where there is none, and float32 [N, k].
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
            for place in range(col_indptr[column], col_indptr[column + 1]):
                other = col_indices[place]
                if seen_by[other] != row:
                    seen_by[other] = row
                    touched[num] = other
                    total[other] = 0.0
                    num += 1
                total[other] += value * col_data[place]
        least = 0.0  # what has to be reached to be among the k best
        for at in range(num):
            other = touched[at]
            if total[other] >= least and total[other] > 0.0 and other != row:
                _offer(other, total[other], row, num_rows, index[number], cosine[number])
                least = cosine[number, -1]


@njit(cache=True, nogil=True)
def _offer(other, similarity, row, num_rows, index, cosine):  # type: ignore[no-untyped-def]
    """Put a row among the k best so far, best first, if it belongs there."""
    place = len(index)
    steps = (other - row) % num_rows
    while place > 0:
        held = index[place - 1]
        worse = similarity < cosine[place - 1]
        tied = similarity == cosine[place - 1]
        if held >= 0 and (worse or (tied and steps > (held - row) % num_rows)):
            break
        place -= 1
    if place == len(index):
        return
    for at in range(len(index) - 1, place, -1):
        index[at] = index[at - 1]
        cosine[at] = cosine[at - 1]
    index[place] = other
    cosine[place] = similarity
