"""Who is left when a trainer is lost goes on alike, whatever each of them was in the middle of."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from hvdtma.aggregate.state import Standing
from hvdtma.comm import InProcessGroup
from hvdtma.comm.communicator import TrainerLost
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.partition.assignment import deal
from hvdtma.runs.folder import Beginning
from hvdtma.train import begin, members
from hvdtma.train.loop import Watch, announce_deal, train_rounds
from hvdtma.train.membership import regroup
from hvdtma.train.set_up import make_averaging, new_trainer
from hvdtma.train.trainer import Move, Trainer, hand_weight

SEATS = 3  # of which one is lost
ROUNDS, REDEAL = 5, 2
COLLECTIVES = ("sum", "gather", "gather_rows", "broadcast")
# What each of the two who are left is in when the third is lost: a collective, the how manieth of
# its kind, and whether it ended for the others. Deals are told by gather 1, 3, ... and taken by
# gather 2, 4, ...; all start by gather_rows 1, and tell of round n by gather_rows n + 1.
LOSSES = {
    "the last aggregation, and the deal after it": (("gather", 2, False), ("sum", 2, True)),
    "the same, the other way round": (("sum", 2, True), ("gather", 2, False)),
    "a deal": (("gather", 2, False), ("gather", 2, False)),
    "what each was dealt": (("gather_rows", 4, False), ("gather", 3, True)),
    "what each was dealt at first": (("broadcast", 1, False), ("gather", 1, True)),
    "the start": (("gather_rows", 2, False), ("gather_rows", 1, True)),
    "the start, of both": (("gather_rows", 1, False), ("gather_rows", 1, False)),
    "an aggregation": (("gather_rows", 2, False), ("gather_rows", 2, False)),
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


class Notebook(Watch):
    """Keeps what was dealt when."""

    def __init__(self):
        self.deals = {}

    def deal(self, averaging, number, hands):
        self.deals[number] = averaging.rounds_done


def config_of(store, on_loss):
    return parse_config(
        {
            "store": str(store.path),
            "run": "unused",
            "interval_steps": 2,
            "rounds": ROUNDS,
            "redeal_rounds": REDEAL,
            "elastic": True,
            "on_loss": on_loss,
            "model": {"hidden": 8},
            "task": {"batch_size": 16},
        }
    )


def trained(store, on_loss, losses):
    """The trainers left, with their averaging and what they noted."""
    config = config_of(store, on_loss)

    def train(comm):
        comm = Failing(comm, losses[comm.rank])
        trainer = new_trainer(config, store, comm, torch.device("cpu"))
        trainer.seats = SEATS
        trainer.take_deal(0)
        averaging, notes, lost = make_averaging(trainer, comm), Notebook(), False
        while True:
            try:
                if lost:
                    regroup(trainer, averaging, Path("unused"), lost=True, before=SEATS)
                else:
                    announce_deal(trainer, averaging, notes)
                train_rounds(trainer, averaging, notes)
                return trainer, averaging, notes
            except TrainerLost:
                lost = True

    return InProcessGroup(len(losses)).run(train)


@pytest.mark.parametrize("on_loss", ["continue", "redeal"])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_who_is_left_has_the_same_deal_parameters_and_rounds(community_store, on_loss, losses):
    left = trained(community_store, on_loss, losses)
    (first, theta), (second, other) = [(trainer, a.theta_P) for trainer, a, _ in left]
    seats = SEATS if on_loss == "continue" else len(left)
    assert (first.seats, first.deal, first.dealt_at) == (second.seats, second.deal, second.dealt_at)
    assert first.seats == seats
    assert torch.equal(theta, other)
    hands = deal(community_store, seats, seed=0, number=first.deal)
    for trainer, averaging, _ in left:
        assert averaging.rounds_done == ROUNDS
        assert np.array_equal(trainer.hand, hands[trainer.seat])
        assert averaging.weight == hand_weight(trainer)
    assert first.seat != second.seat


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_what_is_trained_on_was_told(community_store, losses):
    for trainer, _, notes in trained(community_store, "continue", losses):
        assert notes.deals[trainer.deal] == trainer.dealt_at
        assert {REDEAL, 2 * REDEAL} <= set(notes.deals.values())


def test_blocks_that_one_could_not_read_when_another_was_lost_are_read_again(
    community_store, monkeypatch
):
    failed, original = [], Trainer.take_deal

    def take(self, number, **place):
        if number == 1 and self.seat == 1:
            self.deal = number
            failed.append(self)
            raise UserError("no such file, for a moment")
        original(self, number, **place)

    monkeypatch.setattr(Trainer, "take_deal", take)
    left = trained(community_store, "continue", LOSSES["a deal"])
    assert len(failed) == 1
    hands = deal(community_store, SEATS, seed=0, number=left[0][0].deal)
    for trainer, _, _ in left:
        assert np.array_equal(trainer.hand, hands[trainer.seat])


@pytest.mark.parametrize("on_loss", ["continue", "redeal"])
def test_a_move_that_one_was_not_told_of_is_everyones(community_store, on_loss):
    """A trainer may be lost while they regroup for another, or for one who does not come."""
    config = config_of(community_store, on_loss)

    def train(comm):
        trainer = new_trainer(config, community_store, comm, torch.device("cpu"))
        trainer.take_deal(0)
        averaging = make_averaging(trainer, comm)
        if comm.rank == 1:
            trainer.move = Move(1, 3, 0)
        regroup(trainer, averaging, Path("unused"), lost=True, before=SEATS)
        move = trainer.move
        train_rounds(trainer, averaging, Watch())
        return move, trainer.deal

    assert InProcessGroup(2).run(train) == [(Move(rank, 2, 1), 3) for rank in range(2)]


def test_before_all_have_started_one_stands_where_it_began(community_store):
    def standing(comm):
        trainer = new_trainer(
            config_of(community_store, "continue"), community_store, comm, torch.device("cpu")
        )
        averaging = make_averaging(trainer, comm)
        found = Standing.of(averaging)
        assert torch.equal(found.theta_P, averaging.flat.read())
        return found.started, found.rounds_done, found.elapsed_s

    assert InProcessGroup(1).run(standing) == [(False, 0, 0.0)]


def test_one_who_joins_is_told_who_shares_its_cores_and_each_loss_is_counted(
    community_store, monkeypatch
):
    """Who trained before counts along; two of them were lost, one while they regrouped."""
    counted = []
    monkeypatch.setattr(members, "count_sharers", lambda comm: comm.gather("an old hand"))
    monkeypatch.setattr(begin, "count_sharers", lambda comm: len(comm.gather("a newcomer")))

    def set_up(config, comm, sharers):
        counted.append(sharers)
        return new_trainer(config, community_store, comm, torch.device("cpu"))

    monkeypatch.setattr(begin, "set_up", set_up)

    def train(comm):
        config = config_of(community_store, "continue")
        if comm.rank == 2:
            return begin.begin(config, comm, Beginning.EITHER).together
        trainer = new_trainer(config, community_store, comm, torch.device("cpu"))
        trainer.seats = 4
        trainer.take_deal(0)
        averaging = make_averaging(trainer, comm)
        change = regroup(trainer, averaging, Path("unused"), lost=True, before=4)
        return change.trainers, change.lost, change.joined

    assert InProcessGroup(3).run(train) == [(3, 2, 1), (3, 2, 1), False]
    assert counted == [3]
