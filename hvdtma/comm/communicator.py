"""What the timed loop asks of a communicator, and the one for a single trainer.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch

from hvdtma.core.errors import TrainerError, UserError, explain

T = TypeVar("T")
WORD = 8  # bytes


class MembersChange(Exception):
    """The group of trainers is about to change: everyone calls `regroup`."""


class NewcomersWait(MembersChange):
    """Somebody waits to be let in."""


class TrainerLost(MembersChange, TrainerError):
    """Another trainer ended in the middle; no collective of this group will end any more."""


class TooFewLeft(TrainerError):
    """Too few trainers are left to go on, and nobody came in time.

    Attributes:
        saves_for_all: whether this is the one of them who saves what there is.
    """

    def __init__(self, message: str, *, saves_for_all: bool):
        super().__init__(message)
        self.saves_for_all = saves_for_all


class Communicator(Protocol):
    """M trainers that call the same collectives in the same order.

    `clock` is what deadlines are kept by: seconds that only grow, comparable between trainers to
    within the time a barrier takes.
    """

    rank: int
    size: int
    local_rank: int
    """The trainer's number on its machine; the same as long as it runs, where others may join."""
    local_size: int
    elastic: bool
    """Whether trainers may be lost and may join; only then are the next three ever called."""

    def regroup(self) -> None:
        """Go on with those who are left and those who wait; rank and size may be others."""
        ...

    def newcomers_wait(self) -> bool:
        """Whether somebody waits to be let in; asked by trainer 0."""
        ...

    def leave(self) -> None:
        """Say that this trainer is through: its end is no loss."""
        ...

    def clock(self) -> float:
        """Seconds; a trainer's own."""
        ...

    def sleep_until(self, deadline: float) -> None:
        """Let the clock reach `deadline` without computing."""
        ...

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        """The elementwise sum over trainers, the same bits on every one."""
        ...

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        """Every trainer's row, [M, S] in rank order."""
        ...

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """One trainer's object, on every trainer."""
        ...

    def all_gather_object(self, value: Any) -> list[Any]:
        """Every trainer's object, in rank order."""
        ...

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        """One flat tensor on the CPU for each trainer, any length; what each has for this one."""
        ...


def run_on_all(comm: Communicator, action: Callable[[], T]) -> T:
    """What `action` returns, on each trainer its own; a collective call.

    Raises UserError on every trainer if any of them met one, or the machine refused it (OSError):
    a file may be missing on one host only, and the others would wait for that trainer for ever.
    """
    problem = None
    try:
        value = action()
    except (UserError, OSError) as error:
        problem = explain(error)
    problems = comm.all_gather_object(problem)
    met = [rank for rank, text in enumerate(problems) if text is not None]
    if not met:
        return value
    text = problems[met[0]]
    if len(met) == comm.size or met == [0]:
        raise UserError(text)
    others = f" (and {len(met) - 1} more)" if len(met) > 1 else ""
    raise UserError(f"trainer {met[0]}{others}: {text}")


def run_on_rank0(comm: Communicator, action: Callable[[], T]) -> T:
    """What `action` returns on trainer 0, on every trainer; fails as `run_on_all` does."""
    value = run_on_all(comm, lambda: action() if comm.rank == 0 else None)
    return comm.broadcast_object(value)


def gather_object(comm: Communicator, value: Any) -> list[Any]:
    """Every trainer's object, in rank order, on trainer 0; none on the others. A collective call.

    Large objects travel once, where `all_gather_object` would send each of them to all.
    """
    if comm.size == 1:
        return [value]
    words = packed(value)
    received = comm.all_to_all([words, *[words[:0]] * (comm.size - 1)])
    return [unpacked(piece) for piece in received] if comm.rank == 0 else []


def packed(value: Any) -> torch.Tensor:
    """An object as int64 words: Horovod counts elements, and no more than 2^31 of them."""
    content = bytearray(pickle.dumps(value))
    content.extend(bytes(-len(content) % WORD))  # pickle stops at its own end
    return torch.frombuffer(content, dtype=torch.int64)


def unpacked(words: torch.Tensor) -> Any:
    """What `packed` made words of."""
    return pickle.loads(words.numpy().data)


class Single:
    """One trainer by itself."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1
    elastic = False

    def regroup(self) -> None: ...

    def newcomers_wait(self) -> bool:
        return False

    def leave(self) -> None: ...

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        return flat_P

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        return row_S[None]

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return value

    def all_gather_object(self, value: Any) -> list[Any]:
        return [value]

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        return pieces
