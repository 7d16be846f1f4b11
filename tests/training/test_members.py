"""After the loss of a trainer the others continue alike, whatever each of them was doing."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from hvdtma.comm import InProcessGroup
from hvdtma.comm.communicator import TrainerLost
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.runs.folder import StartMode
from hvdtma.training import membership, start
from hvdtma.training.callback import Callback
from hvdtma.training.loop import announce_assignment, train_rounds
from hvdtma.training.membership import regroup
from hvdtma.training.set_up import make_averaging, new_trainer
from hvdtma.training.trainer import NextShard, Trainer, trainer_weight

pytestmark = pytest.mark.usefixtures("objects_as_bytes")

NUM_SHARDS = 3  # one trainer is lost
ROUNDS, REASSIGN = 5, 2
COLLECTIVES = ("all_reduce", "all_gather_object", "all_gather", "broadcast_object")
# For each of the two survivors, the collective that it is in when the third trainer is lost: its
# name, its number among those of this name, and whether it completed for the others. Assignments
# are told by all_gather_object 1, 3, ... and taken by 2, 4, ...; all start by all_gather 1, and
# announce round n by all_gather n + 1.
LOSSES = {
    "the last aggregation, and the assignment after it": (
        ("all_gather_object", 2, False),
        ("all_reduce", 2, True),
    ),
    "the same, the other way round": (("all_reduce", 2, True), ("all_gather_object", 2, False)),
    "an assignment": (("all_gather_object", 2, False), ("all_gather_object", 2, False)),
    "what each was assigned": (("all_gather", 4, False), ("all_gather_object", 3, True)),
    "what each was assigned at first": (
        ("broadcast_object", 1, False),
        ("all_gather_object", 1, True),
    ),
    "the start": (("all_gather", 2, False), ("all_gather", 1, True)),
    "the start, of both": (("all_gather", 1, False), ("all_gather", 1, False)),
    "an aggregation": (("all_gather", 2, False), ("all_gather", 2, False)),
}


class Failing:
    """A trainer's communicator of which one collective fails, as if another trainer were lost."""

    elastic = True

    def __init__(self, comm, loss):
        self._comm, self._loss = comm, loss
        self._calls = Counter()

    def __getattr__(self, name):
        return self._collective(name) if name in COLLECTIVES else getattr(self._comm, name)

    def _collective(self, name):
        def call(*arguments):
            self._calls[name] += 1
            fails = self._loss[:2] == (name, self._calls[name])
            if fails and not self._loss[2]:
                raise TrainerLost("a trainer was lost")
            value = getattr(self._comm, name)(*arguments)
            if fails:
                raise TrainerLost("a trainer was lost")
            return value

        return call


class Notebook(Callback):
    """Keeps the number of rounds at each assignment."""

    def __init__(self):
        self.assignments = {}

    def on_assignment(self, averaging, number, trainers):
        self.assignments[number] = averaging.rounds_done


def config_of(store, on_loss):
    return parse_config(
        {
            "store": str(store.path),
            "run": "unused",
            "interval_steps": 2,
            "rounds": ROUNDS,
            "reassign_rounds": REASSIGN,
            "elastic": True,
            "on_loss": on_loss,
            "model": {"hidden": 8},
            "task": {"batch_size": 16},
        }
    )


def trained(store, on_loss, losses):
    """The remaining trainers, with their averaging and their notes."""
    config = config_of(store, on_loss)

    def train(comm):
        comm = Failing(comm, losses[comm.rank])
        trainer = new_trainer(config, store, comm, torch.device("cpu"))
        trainer.num_shards = NUM_SHARDS
        trainer.take_assignment(0)
        averaging, notes, lost = make_averaging(trainer, comm), Notebook(), False
        while True:
            try:
                if lost:
                    regroup(trainer, averaging, Path("unused"), lost=True, before=NUM_SHARDS)
                else:
                    announce_assignment(trainer, averaging, notes)
                train_rounds(trainer, averaging, notes)
                return trainer, averaging, notes
            except TrainerLost:
                lost = True

    return InProcessGroup(len(losses)).run(train)


@pytest.mark.parametrize("on_loss", ["continue", "reassign"])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_the_remaining_trainers_have_the_same_assignment_parameters_and_rounds(
    community_store, on_loss, losses
):
    left = trained(community_store, on_loss, losses)
    (first, theta), (second, other) = [(trainer, a.theta_P) for trainer, a, _ in left]
    num_shards = NUM_SHARDS if on_loss == "continue" else len(left)
    assert (first.num_shards, first.assignment, first.assigned_at) == (
        second.num_shards,
        second.assignment,
        second.assigned_at,
    )
    assert first.num_shards == num_shards
    assert torch.equal(theta, other)
    blocks_of = assign_blocks(community_store, num_shards, seed=0, number=first.assignment)
    for trainer, averaging, _ in left:
        assert averaging.rounds_done == ROUNDS
        assert np.array_equal(trainer.blocks, blocks_of[trainer.shard_index])
        assert averaging.weight == trainer_weight(trainer)
    assert first.shard_index != second.shard_index


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_every_assignment_that_is_trained_on_was_announced(community_store, losses):
    for trainer, _, notes in trained(community_store, "continue", losses):
        assert notes.assignments[trainer.assignment] == trainer.assigned_at
        assert {REASSIGN, 2 * REASSIGN} <= set(notes.assignments.values())


def test_blocks_that_one_could_not_read_when_another_was_lost_are_read_again(
    community_store, monkeypatch
):
    failed, original = [], Trainer.take_assignment

    def take(self, number, **progress):
        if number == 1 and self.shard_index == 1:
            self.assignment = number
            failed.append(self)
            raise UserError("no such file, for a moment")
        original(self, number, **progress)

    monkeypatch.setattr(Trainer, "take_assignment", take)
    left = trained(community_store, "continue", LOSSES["an assignment"])
    assert len(failed) == 1
    blocks_of = assign_blocks(community_store, NUM_SHARDS, seed=0, number=left[0][0].assignment)
    for trainer, _, _ in left:
        assert np.array_equal(trainer.blocks, blocks_of[trainer.shard_index])


@pytest.mark.parametrize("on_loss", ["continue", "reassign"])
def test_a_reassignment_that_one_trainer_missed_is_made_by_all(community_store, on_loss):
    """A trainer may be lost while the others regroup for another one."""
    config = config_of(community_store, on_loss)

    def train(comm):
        trainer = new_trainer(config, community_store, comm, torch.device("cpu"))
        trainer.take_assignment(0)
        averaging = make_averaging(trainer, comm)
        if comm.rank == 1:
            trainer.next_shard = NextShard(1, 3, 0)
        regroup(trainer, averaging, Path("unused"), lost=True, before=NUM_SHARDS)
        next_shard = trainer.next_shard
        train_rounds(trainer, averaging, Callback())
        return next_shard, trainer.assignment

    assert InProcessGroup(2).run(train) == [(NextShard(rank, 2, 1), 3) for rank in range(2)]


def test_before_the_common_start_the_global_state_is_the_initial_one(community_store):
    def state_of(comm):
        trainer = new_trainer(
            config_of(community_store, "continue"), community_store, comm, torch.device("cpu")
        )
        averaging = make_averaging(trainer, comm)
        state = averaging.global_state()
        assert torch.equal(state.theta_P, averaging.flat.read())
        return state.started, state.rounds_done, state.elapsed_s

    assert InProcessGroup(1).run(state_of) == [(False, 0, 0.0)]


def test_a_newcomer_learns_how_many_share_its_cores_and_each_loss_is_counted(
    community_store, monkeypatch
):
    """Members count too. Two of them were lost, one of them during the regrouping."""
    counted = []
    monkeypatch.setattr(
        membership, "count_sharers", lambda comm: comm.all_gather_object("a member")
    )
    monkeypatch.setattr(
        start, "count_sharers", lambda comm: len(comm.all_gather_object("a newcomer"))
    )

    def set_up(config, comm, sharers):
        counted.append(sharers)
        return new_trainer(config, community_store, comm, torch.device("cpu"))

    monkeypatch.setattr(start, "set_up", set_up)

    def train(comm):
        config = config_of(community_store, "continue")
        if comm.rank == 2:
            return start.start_run(config, comm, StartMode.AUTO).joined
        trainer = new_trainer(config, community_store, comm, torch.device("cpu"))
        trainer.num_shards = 4
        trainer.take_assignment(0)
        averaging = make_averaging(trainer, comm)
        change = regroup(trainer, averaging, Path("unused"), lost=True, before=4)
        return change.trainers, change.lost, change.joined

    assert InProcessGroup(3).run(train) == [(3, 2, 1), (3, 2, 1), True]
    assert counted == [3]
