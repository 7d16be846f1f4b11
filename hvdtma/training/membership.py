"""Trainers come and go: who is left goes on, who is new is join_state where all stand.

    a trainer is lost        the collective that all are in fails; nothing done in the round is lost
    ... while blocks are     some may have missed that assignment: it is followed by another
        reassigned
    a newcomer waits         trainer 0 says so at the next aggregation
    either way               all regroup, call the members, and go on where the most_advanced one stands

What becomes of a lost trainer's blocks is the config's `on_loss`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.aggregate.state import GlobalState
from hvdtma.comm.communicator import Communicator
from hvdtma.core.train_config import TrainConfig
from hvdtma.training.set_up import count_sharers
from hvdtma.training.trainer import NextShard, Trainer


@dataclass(frozen=True)
class MemberState:
    """What one who trained before answers at the members call."""

    started: bool
    rounds_done: int
    assignment: int
    reassigning_now: bool
    reassigning: bool
    shard_index: int
    num_shards: int
    lost: bool
    stopped: Stop

    @property
    def reached(self) -> tuple[bool, int, int]:
        """How far it came; an aggregation or an assignment that one missed another may have had."""
        return self.started, self.rounds_done, self.assignment


@dataclass(frozen=True)
class JoinState:
    """What a newcomer has to know."""

    config: TrainConfig
    run: Path
    num_shards: int
    assignment: int
    assigned_at: int
    averaging: GlobalState


@dataclass(frozen=True)
class MembershipChange:
    """Who came and who went, and how long it held up the others; `round` is the one it was in."""

    round: int
    trainers: int
    lost: int
    joined: int
    took_s: float


def regroup(
    trainer: Trainer, averaging: TimedAveraging, run: Path, *, lost: bool, before: int
) -> MembershipChange:
    """Go on with those who are left and those who wait; called by all who trained before.

    Args:
        lost: whether this trainer was stopped in the middle by the loss of another.
        before: how many trained when all last went on together; a try that failed is none.

    Raises TrainerLost if one more is lost meanwhile: call it again.
    """
    comm, start = averaging.comm, time.monotonic()
    round_ = averaging.rounds_done + 1
    comm.regroup()
    members = comm.all_gather_object(
        MemberState(
            averaging.started,
            averaging.rounds_done,
            trainer.assignment,
            trainer.reassigning_now,
            trainer.next_shard is not None,
            trainer.shard_index,
            trainer.num_shards,
            lost,
            averaging.stopped,
        )
    )
    leader = most_advanced(members)
    facts = (trainer.num_shards, trainer.assignment, trainer.assigned_at)
    mine = JoinState(trainer.config, run, *facts, averaging.global_state())
    join_state = comm.broadcast_object(mine if comm.rank == leader else None, leader)
    count_sharers(comm)  # for newcomers, who call it here
    then = join_state.averaging
    if (then.started, then.rounds_done) > (averaging.started, averaging.rounds_done):
        averaging.load_global_state(then)  # its update was in that round's average
    averaging.stopped = stopped_at(members)
    trainer.assignment = join_state.assignment  # the next one has the same number for all
    trainer.next_shard = next_shard_of(members, join_state, comm.rank)
    stayed = sum(present is not None for present in members)
    took_s = time.monotonic() - start
    return MembershipChange(round_, comm.size, before - stayed, comm.size - stayed, took_s)


def sync_membership(comm: Communicator) -> tuple[list[MemberState | None], JoinState | None]:
    """A newcomer's part of the members call; no briefing if everyone is new: the run begins.

    With a briefing, all count the sharers of their cores next.
    """
    members = comm.all_gather_object(None)
    if all(present is None for present in members):
        return members, None
    return members, comm.broadcast_object(None, most_advanced(members))


def take_shard(
    trainer: Trainer, members: list[MemberState | None], join_state: JoinState, rank: int
) -> None:
    """A newcomer's first shard: a lost trainer's, or none before all are reassigned.

    Raises UserError if it cannot be read.
    """
    trainer.assignment, trainer.assigned_at = join_state.assignment, join_state.assigned_at
    trainer.next_shard = next_shard_of(members, join_state, rank)
    if trainer.next_shard is None:
        trainer.shard_index, trainer.num_shards = (
            shards_of(members, join_state)[rank],
            join_state.num_shards,
        )
        trainer.take_assignment(join_state.assignment)


def stopped_at(members: list[MemberState | None]) -> Stop:
    """Why training is over, if somebody has heard that it is."""
    return max((present.stopped for present in members if present), default=Stop.NOT)


def most_advanced(members: list[MemberState | None]) -> int:
    """The first of those who have come most_advanced."""
    reached = [present.reached if present else (False, -1, -1) for present in members]
    return reached.index(max(reached))


def free_shards(members: list[MemberState | None], join_state: JoinState) -> list[int]:
    """Seats whose trainers were lost, ascending."""
    return sorted(
        set(range(join_state.num_shards)) - {present.shard_index for present in members if present}
    )


def shards_of(members: list[MemberState | None], join_state: JoinState) -> list[int]:
    """Everyone's shard_index, by rank, where there is a free one for each newcomer."""
    free = iter(free_shards(members, join_state))
    return [present.shard_index if present else next(free) for present in members]


def must_reassign(members: list[MemberState | None], join_state: JoinState) -> bool:
    """Whether all blocks are reassigned, and a newcomer does not just take a free shard_index."""
    if any(
        present.reassigning or present.num_shards != join_state.num_shards
        for present in members
        if present
    ):
        return True  # as was said before; one may have missed it, or another have moved already
    free = free_shards(members, join_state)
    new = sum(present is None for present in members)
    return new > len(free) or (join_state.config.on_loss == "reassign" and len(free) > 0)


def next_shard_of(
    members: list[MemberState | None], join_state: JoinState, rank: int
) -> NextShard | None:
    """To which shard_index one moves, if blocks are reassigned; the assignment is the same for all.

    At once where an assignment was under way; else once the round is over that some of them are in.
    """
    reassigning_now = any(present.reassigning_now for present in members if present)
    in_round = any(present.lost for present in members if present) and not reassigning_now
    if must_reassign(members, join_state):
        return NextShard(rank, len(members), join_state.averaging.rounds_done + in_round)
    if reassigning_now:
        return NextShard(
            shards_of(members, join_state)[rank],
            join_state.num_shards,
            join_state.averaging.rounds_done,
        )
    return None
