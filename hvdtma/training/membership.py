"""Elastic training: how trainers regroup when one is lost or others want to join.

Where a killed trainer is noticed: the collective that the other trainers are in fails, and
`hvdtma.comm.horovod` raises `TrainerLost`. `hvdtma.training.session` catches it and calls
`regroup`. Then:

    a trainer was lost       the progress of the other trainers in the round is kept
    ... during a             some trainers may not have taken the new assignment, so another
        reassignment         assignment follows it
    newcomers wait           rank 0 announces them at the next aggregation, and all trainers regroup
    in both cases            all trainers exchange their states, and continue from the state of the
                             most advanced trainer

`on_loss` in the config decides who gets the blocks of a lost trainer. A trainer that hangs is ended
by its own `hvdtma.training.watchdog`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
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
    """The state of a trainer that trained before the regrouping.

    Attributes:
        started: whether it had the common start.
        rounds_done: number of rounds that it has aggregated.
        assignment: number of its assignment.
        reassigning: whether it was in the middle of a reassignment.
        reassign_pending: whether a reassignment was due.
        shard_index, num_shards: its shard.
        lost_contact: whether the loss of another trainer interrupted it in the middle of a round.
        stopped: why training has stopped, if it knows.
    """

    started: bool
    rounds_done: int
    assignment: int
    reassigning: bool
    reassign_pending: bool
    shard_index: int
    num_shards: int
    lost_contact: bool
    stopped: Stop

    @property
    def progress(self) -> tuple[bool, int, int]:
        """A key to compare trainers: one may have missed an aggregation or an assignment."""
        return self.started, self.rounds_done, self.assignment


Members = Sequence[MemberState | None]  # by rank in the new group; None for a newcomer


@dataclass(frozen=True)
class JoinState:
    """The state of the run that the most advanced trainer sends to all others."""

    config: TrainConfig
    run: Path
    num_shards: int
    assignment: int
    assigned_at: int
    averaging: GlobalState


@dataclass(frozen=True)
class MembershipChange:
    """The result of a regrouping.

    Attributes:
        round: the round in which it happened.
        trainers: number of trainers after it.
        lost, joined: number of trainers that were lost and that joined.
        took_s: seconds that it held up training.
    """

    round: int
    trainers: int
    lost: int
    joined: int
    took_s: float


def regroup(
    trainer: Trainer, averaging: TimedAveraging, run: Path, *, lost: bool, before: int
) -> MembershipChange:
    """Form a new group of the remaining trainers and the newcomers. Collective.

    Every trainer that trained before calls it; newcomers call `sync_membership`.

    Args:
        run: the run's folder.
        lost: whether the loss of another trainer interrupted this trainer in the middle of a round.
        before: number of trainers after the last regrouping that succeeded.

    Raises TrainerLost if another trainer is lost meanwhile; the call must then be repeated.
    """
    comm, start = averaging.comm, time.monotonic()
    round_ = averaging.rounds_done + 1
    comm.regroup()
    members = comm.all_gather_object(member_state(trainer, averaging, lost=lost))
    leader = most_advanced_rank(members)
    facts = (trainer.num_shards, trainer.assignment, trainer.assigned_at)
    own_state = JoinState(trainer.config, run, *facts, averaging.global_state())
    join_state = comm.broadcast_object(own_state if comm.rank == leader else None, leader)
    count_sharers(comm)  # newcomers make this collective call too
    newest = join_state.averaging
    if (newest.started, newest.rounds_done) > (averaging.started, averaging.rounds_done):
        averaging.load_global_state(newest)  # this trainer's update is part of that average
    averaging.stopped = stop_reason(members)
    trainer.assignment = join_state.assignment  # so that the next number is the same for all
    trainer.next_shard = next_shard_of(members, join_state, comm.rank)
    stayed = sum(member is not None for member in members)
    took_s = time.monotonic() - start
    return MembershipChange(round_, comm.size, before - stayed, comm.size - stayed, took_s)


def member_state(trainer: Trainer, averaging: TimedAveraging, *, lost: bool) -> MemberState:
    """The state of this trainer, for the others."""
    return MemberState(
        averaging.started,
        averaging.rounds_done,
        trainer.assignment,
        trainer.reassigning,
        trainer.next_shard is not None,
        trainer.shard_index,
        trainer.num_shards,
        lost,
        averaging.stopped,
    )


def sync_membership(comm: Communicator) -> tuple[Members, JoinState | None]:
    """The newcomers' part of a regrouping. Collective.

    Returns the members, and the state of the run. The state is None if all trainers are newcomers:
    then the run begins. Otherwise the newcomers call `count_sharers` next, as `regroup` does.
    """
    members = comm.all_gather_object(None)
    if all(member is None for member in members):
        return members, None
    return members, comm.broadcast_object(None, most_advanced_rank(members))


def take_shard(trainer: Trainer, members: Members, join_state: JoinState, rank: int) -> None:
    """Give a newcomer a lost trainer's shard, or no shard if all blocks will be reassigned.

    Raises UserError if the shard cannot be read.
    """
    trainer.assignment, trainer.assigned_at = join_state.assignment, join_state.assigned_at
    trainer.next_shard = next_shard_of(members, join_state, rank)
    if trainer.next_shard is None:
        trainer.num_shards = join_state.num_shards
        trainer.shard_index = shard_indices(members, join_state)[rank]
        trainer.take_assignment(join_state.assignment)


def stop_reason(members: Members) -> Stop:
    """The reason why training stopped, if any member knows it."""
    return max((member.stopped for member in members if member), default=Stop.NOT)


def most_advanced_rank(members: Members) -> int:
    """The lowest rank of the members with the most progress."""
    progress = [member.progress if member else (False, -1, -1) for member in members]
    return progress.index(max(progress))


def free_shards(members: Members, join_state: JoinState) -> list[int]:
    """Indices of the lost trainers' shards, ascending."""
    taken = {member.shard_index for member in members if member}
    return sorted(set(range(join_state.num_shards)) - taken)


def shard_indices(members: Members, join_state: JoinState) -> list[int]:
    """The shard index of each rank; needs a free shard for each newcomer."""
    free = iter(free_shards(members, join_state))
    return [member.shard_index if member else next(free) for member in members]


def must_reassign(members: Members, join_state: JoinState) -> bool:
    """Whether all blocks must be reassigned, because free shards do not suit the newcomers."""
    num_shards = join_state.num_shards
    present = [member for member in members if member]
    if any(member.reassign_pending or member.num_shards != num_shards for member in present):
        return True  # decided before, but not yet done by every member
    free = free_shards(members, join_state)
    num_new = len(members) - len(present)
    return num_new > len(free) or (join_state.config.on_loss == "reassign" and len(free) > 0)


def next_shard_of(members: Members, join_state: JoinState, rank: int) -> NextShard | None:
    """The shard that a rank takes at the next reassignment; None if none is needed.

    If a reassignment was interrupted, the next one follows at once. Otherwise it follows after the
    round that some trainers are in the middle of.
    """
    reassigning = any(member.reassigning for member in members if member)
    in_round = any(member.lost_contact for member in members if member) and not reassigning
    rounds_done = join_state.averaging.rounds_done
    if must_reassign(members, join_state):
        return NextShard(rank, len(members), rounds_done + in_round)
    if reassigning:
        shard_index = shard_indices(members, join_state)[rank]
        return NextShard(shard_index, join_state.num_shards, rounds_done)
    return None
