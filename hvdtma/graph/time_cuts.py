"""Where a split by time cuts: the latest items are for test, those before them for validation.

Items of one time are in one part: those of the time of a cut go to the later part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.selection import Pieces, nth_largest
from hvdtma.graph.source import NO_TIME
from hvdtma.graph.splits import part_sizes


@dataclass(frozen=True)
class TimeCuts:
    """The times at which a split cuts.

    Attributes:
        first, last: the range of the items' times.
        valid_from, test_from: the first times of validation and test.
        num_valid, num_test: the numbers of their items.
        num_tied: of these, the items above the sizes that were asked for.
    """

    first: int
    last: int
    valid_from: int
    test_from: int
    num_valid: int
    num_test: int
    num_tied: int

    def parts(self, time: np.ndarray) -> np.ndarray:
        """The part of each time, int8: 0 train, 1 valid, 2 test."""
        return (time >= self.valid_from).astype(np.int8) + (time >= self.test_from)

    def as_attribute(self, unit: str) -> dict[str, object]:
        """The store's attribute `times`."""
        cuts = {"valid_from": self.valid_from, "test_from": self.test_from}
        return {"of": unit, "first": self.first, "last": self.last} | cuts


def time_cuts(pieces: Pieces, valid: float, test: float, unit: str) -> TimeCuts:
    """The cuts for some items.

    Args:
        pieces: called for every pass, returns the times of all items in int64 arrays.
        valid, test: a share of the items if below 1, else a count.
        unit: the plural name of the items.

    Raises UserError if a part would be empty, or if no item is left for training.
    """
    total, first, last = 0, 2**63 - 1, -(2**63)
    for piece in pieces():
        total += len(piece)
        first, last = (
            min(first, int(piece.min(initial=first))),
            max(last, int(piece.max(initial=last))),
        )
    sizes = part_sizes(total, valid, test, unit)

    def reaching(time: int) -> int:
        return sum(int((piece >= time).sum()) for piece in pieces())

    test_from = nth_largest(pieces, sizes[1], first, last)
    num_test = reaching(test_from)
    valid_from, num_late = test_from, num_test + sizes[0]
    if num_late < total:
        valid_from = nth_largest(pieces, num_late, first, last)
        num_late = reaching(valid_from)
    if num_late >= total:
        raise UserError(
            f"a split by time would leave none of {total:,} {unit} to train on: {num_test:,} have "
            f"the time {test_from} or a later one, and items of one time are in one part; give "
            "finer times, or less for --valid and --test"
        )
    num_valid = num_late - num_test
    num_tied = num_late - sum(sizes)
    return TimeCuts(first, last, valid_from, test_from, num_valid, num_test, num_tied)


def nodes_by_time(
    labelled: np.ndarray, time_N: np.ndarray, valid: float, test: float
) -> tuple[dict[str, np.ndarray], TimeCuts]:
    """The labelled nodes of each part, ascending, and the cuts.

    Args:
        labelled: int64 node numbers; a node without a time (`NO_TIME`) is in no part.
    """
    nodes = labelled[time_N[labelled] != NO_TIME]
    time = time_N[nodes]
    cuts = time_cuts(lambda: [time], valid, test, "labelled nodes with a time")
    part = cuts.parts(time)
    return {name: np.sort(nodes[part == number]) for number, name in enumerate(PARTS)}, cuts
