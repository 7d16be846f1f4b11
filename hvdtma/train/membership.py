"""Trainers come and go: who is left goes on, who is new is told where all stand.

    a trainer is lost        the collective that all are in fails; nothing done in the round is lost
    ... while blocks are     some may have missed that deal: it is followed by another
        dealt anew
    a newcomer waits         trainer 0 says so at the next aggregation
    either way               all regroup, call the roll, and go on where the farthest one stands

What becomes of a lost trainer's blocks is the config's `on_loss`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.aggregate.state import Standing
from hvdtma.comm.communicator import Communicator
from hvdtma.core.train_config import TrainConfig
from hvdtma.train.set_up import count_sharers
from hvdtma.train.trainer import Move, Trainer


@dataclass(frozen=True)
class Present:
    """What one who trained before answers at the roll call."""

    started: bool
    rounds_done: int
    deal: int
    dealing: bool
    moving: bool
    seat: int
    seats: int
    lost: bool
    stopped: Stop

    @property
    def reached(self) -> tuple[bool, int, int]:
        """How far it came; an aggregation or a deal that one missed another may have had."""
        return self.started, self.rounds_done, self.deal


@dataclass(frozen=True)
class Briefing:
    """What a newcomer has to know."""

    config: TrainConfig
    run: Path
    seats: int
    deal: int
    dealt_at: int
    standing: Standing


@dataclass(frozen=True)
class Change:
    """Who came and who went, and how long it held up the others; `round` is the one it was in."""

    round: int
    trainers: int
    lost: int
    joined: int
    took_s: float


def regroup(
    trainer: Trainer, averaging: TimedAveraging, run: Path, *, lost: bool, before: int
) -> Change:
    """Go on with those who are left and those who wait; called by all who trained before.

    Args:
        lost: whether this trainer was stopped in the middle by the loss of another.
        before: how many trained when all last went on together; a try that failed is none.

    Raises TrainerLost if one more is lost meanwhile: call it again.
    """
    comm, start = averaging.comm, time.monotonic()
    round_ = averaging.rounds_done + 1
    comm.regroup()
    roll = comm.gather(
        Present(
            averaging.started,
            averaging.rounds_done,
            trainer.deal,
            trainer.dealing,
            trainer.move is not None,
            trainer.seat,
            trainer.seats,
            lost,
            averaging.stopped,
        )
    )
    leader = farthest(roll)
    facts = (trainer.seats, trainer.deal, trainer.dealt_at)
    mine = Briefing(trainer.config, run, *facts, Standing.of(averaging))
    told = comm.broadcast(mine if comm.rank == leader else None, leader)
    count_sharers(comm)  # for newcomers, who call it here
    then = told.standing
    if (then.started, then.rounds_done) > (averaging.started, averaging.rounds_done):
        then.take(averaging)  # its update was in that round's average
    averaging.stopped = stopped_at(roll)
    trainer.deal = told.deal  # the next one has the same number for all
    trainer.move = move_of(roll, told, comm.rank)
    stayed = sum(present is not None for present in roll)
    took_s = time.monotonic() - start
    return Change(round_, comm.size, before - stayed, comm.size - stayed, took_s)


def call_roll(comm: Communicator) -> tuple[list[Present | None], Briefing | None]:
    """A newcomer's part of the roll call; no briefing if everyone is new: the run begins.

    With a briefing, all count the sharers of their cores next.
    """
    roll = comm.gather(None)
    if all(present is None for present in roll):
        return roll, None
    return roll, comm.broadcast(None, farthest(roll))


def take_seat(trainer: Trainer, roll: list[Present | None], told: Briefing, rank: int) -> None:
    """A newcomer's first hand: a lost trainer's, or none before all are dealt anew.

    Raises UserError if it cannot be read.
    """
    trainer.deal, trainer.dealt_at = told.deal, told.dealt_at
    trainer.move = move_of(roll, told, rank)
    if trainer.move is None:
        trainer.seat, trainer.seats = seats_of(roll, told)[rank], told.seats
        trainer.take_deal(told.deal)


def stopped_at(roll: list[Present | None]) -> Stop:
    """Why training is over, if somebody has heard that it is."""
    return max((present.stopped for present in roll if present), default=Stop.NOT)


def farthest(roll: list[Present | None]) -> int:
    """The first of those who have come farthest."""
    reached = [present.reached if present else (False, -1, -1) for present in roll]
    return reached.index(max(reached))


def free_seats(roll: list[Present | None], told: Briefing) -> list[int]:
    """Seats whose trainers were lost, ascending."""
    return sorted(set(range(told.seats)) - {present.seat for present in roll if present})


def seats_of(roll: list[Present | None], told: Briefing) -> list[int]:
    """Everyone's seat, by rank, where there is a free one for each newcomer."""
    free = iter(free_seats(roll, told))
    return [present.seat if present else next(free) for present in roll]


def must_redeal(roll: list[Present | None], told: Briefing) -> bool:
    """Whether all blocks are dealt anew, and a newcomer does not just take a free seat."""
    if any(present.moving or present.seats != told.seats for present in roll if present):
        return True  # as was said before; one may have missed it, or another have moved already
    free = free_seats(roll, told)
    new = sum(present is None for present in roll)
    return new > len(free) or (told.config.on_loss == "redeal" and len(free) > 0)


def move_of(roll: list[Present | None], told: Briefing, rank: int) -> Move | None:
    """To which seat one moves, if blocks are dealt anew; the deal is the same for all.

    At once where a deal was under way; else once the round is over that some of them are in.
    """
    dealing = any(present.dealing for present in roll if present)
    in_round = any(present.lost for present in roll if present) and not dealing
    if must_redeal(roll, told):
        return Move(rank, len(roll), told.standing.rounds_done + in_round)
    if dealing:
        return Move(seats_of(roll, told)[rank], told.seats, told.standing.rounds_done)
    return None
