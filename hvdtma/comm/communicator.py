"""The communicator: the collectives that trainers call, and their errors.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch

from hvdtma.core.errors import TrainerError, UserError, explain

T = TypeVar("T")


class RegroupNeeded(Exception):
    """The group of trainers is about to change: every trainer calls `regroup`."""


class NewcomersWaiting(RegroupNeeded):
    """Newcomers wait for a place in the group."""


class TrainerLost(RegroupNeeded, TrainerError):
    """Another trainer ended during a collective. No collective of this group completes any more.

    Attributes:
        what: the loss.
        cause: the transport's message.
    """

    def __init__(self, what: str, cause: str = ""):
        super().__init__(f"{what}. {cause}" if cause else what)
        self.what, self.cause = what, cause


class TooFewTrainers(TrainerError):
    """Fewer trainers than the minimum are left, and no others came in time.

    Attributes:
        saves_for_all: whether this trainer is the one that saves the state of training.
    """

    def __init__(self, message: str, *, saves_for_all: bool):
        super().__init__(message)
        self.saves_for_all = saves_for_all


class Communicator(Protocol):
    """M trainers that call the same collectives in the same order.

    Attributes:
        rank, size: this trainer's number among the M trainers, and M.
        local_rank: the trainer's number on its machine. It stays the same as long as the trainer
            runs, also if the group changes.
        local_size: number of trainers on its machine.
        elastic: whether trainers may be lost and may join. Only then are `regroup`,
            `newcomers_wait` and `leave` called.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    elastic: bool

    def regroup(self) -> None:
        """Form a new group of the trainers that are left and those that wait. Collective.

        `rank` and `size` may change.
        """
        ...

    def newcomers_wait(self) -> bool:
        """Whether newcomers wait for a place in the group. Rank 0 asks."""
        ...

    def leave(self) -> None:
        """Tell the job that this trainer has finished: its end is not a loss."""
        ...

    def clock(self) -> float:
        """Seconds on a clock that only advances.

        Clocks of different trainers may differ: a barrier and one reading each give the offset.
        """
        ...

    def sleep_until(self, deadline: float) -> None:
        """Let the clock reach `deadline` without computing."""
        ...

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        """The elementwise sum over trainers, [P].

        The sum is taken in rank order, so every transport gives the same bits on every trainer.
        """
        ...

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        """The rows of all trainers, [M, S] in rank order."""
        ...

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """The object of rank `root`, on every trainer."""
        ...

    def all_gather_object(self, value: Any) -> list[Any]:
        """The objects of all trainers in rank order, on every trainer."""
        ...

    def gather_object(self, value: Any) -> list[Any]:
        """The objects of all trainers in rank order on rank 0; an empty list on the others.

        Each object travels once. `all_gather_object` sends each object to every trainer.
        """
        ...

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        """Send `pieces[r]` to rank r; return the pieces that this rank received, in rank order.

        Pieces are flat CPU tensors of one dtype and any length.
        """
        ...


def sum_in_rank_order(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """row_0 + row_1 + ..., added in this order, as a new tensor.

    Floating-point addition is not associative: another order gives other bits.
    """
    total = rows[0].clone()
    for row in rows[1:]:
        total += row
    return total


def run_on_all(comm: Communicator, action: Callable[[], T]) -> T:
    """Run `action` on every trainer; return this trainer's own result. Collective.

    Raises UserError on every trainer if `action` raised UserError or OSError on any of them. A
    file may be missing on one machine only; the other trainers would wait for ever in the next
    collective.
    """
    problem = None
    try:
        value = action()
    except (UserError, OSError) as error:
        problem = explain(error)
    problems = comm.all_gather_object(problem)
    failed = [rank for rank, message in enumerate(problems) if message is not None]
    if not failed:
        return value
    message = problems[failed[0]]
    if len(failed) == comm.size or failed == [0]:
        raise UserError(message)
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    raise UserError(f"trainer {failed[0]}{others}: {message}")


def run_on_rank0(comm: Communicator, action: Callable[[], T]) -> T:
    """Run `action` on rank 0; return its result on every trainer. Fails as `run_on_all` does.

    The result travels as `broadcast_object` sends it.
    """
    value = run_on_all(comm, lambda: action() if comm.rank == 0 else None)
    return comm.broadcast_object(value)
