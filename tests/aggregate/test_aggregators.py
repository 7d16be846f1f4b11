"""Aggregators of one's own: weights per parameter, extra steps, state that checkpoints keep."""

import copy
from fractions import Fraction

import pytest
import torch
from torch import nn

from hvdtma.aggregate import Average, RoundState, Summed, TimedAveraging
from hvdtma.aggregate.aggregator import shares
from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.errors import UserError


class HeadByOne(Average):
    """Only trainer 0 trains what is called `head`."""

    def contribute(self, update_P, weight, state):
        weight_P = torch.full_like(update_P, weight)
        for name, place in state.layout.items():
            if name.startswith("head") and state.rank:
                weight_P[place] = 0
        return weight_P * update_P, weight_P


class Halves(Average):
    """Each trainer trains every other value, which ones by the round: the rest is frozen."""

    def mask(self, state):
        return (torch.arange(state.num_parameters) + state.round) % state.size == state.rank

    def contribute(self, update_P, weight, state):
        mask = self.mask(state).to(update_P)
        return weight * mask * update_P, weight * mask


class Shrink(Average):
    """Halves the parameters after each round, on every trainer alike."""

    def after_round(self, model, state):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.5)


def model_of(values=(1.0, 1.0, 1.0)):
    model = nn.ModuleDict(
        {"body": nn.Linear(1, 2, bias=False), "head": nn.Linear(1, 1, bias=False)}
    )
    with torch.no_grad():
        model["body"].weight.copy_(torch.tensor(values[:2])[:, None])
        model["head"].weight.fill_(values[2])
    return model


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def run(aggregator, trainers, rounds=1, weights=None, adds=lambda rank, round: rank + 1.0):
    """Each round, trainer k adds a number to all its parameters; the parameters at the end."""

    def trainer(comm):
        model = model_of()
        averaging = TimedAveraging(
            model,
            interval_steps=1,
            rounds=rounds,
            weight=1.0 if weights is None else weights[comm.rank],
            aggregator=aggregator(),
            comm=comm,
        )
        while averaging.running:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(adds(comm.rank, averaging.rounds_done))
            averaging.step()
        return flat(model)

    found = InProcessGroup(trainers).run(trainer)
    for other in found[1:]:
        assert torch.equal(other, found[0])
    return found[0]


def test_a_weight_may_be_per_parameter():
    made = run(HeadByOne, 3, weights=[1.0, 2.0, 3.0])
    mean = (1 * 1 + 2 * 2 + 3 * 3) / 6
    assert made.tolist() == pytest.approx([1 + mean, 1 + mean, 2.0])


def test_every_value_is_averaged_over_those_who_trained_it_only():
    made = run(Halves, 2)
    assert made.tolist() == [3.0, 2.0, 3.0]  # round 1: rank 1, rank 0, rank 1


def test_what_is_changed_after_a_round_becomes_the_global_parameters():
    made = run(Shrink, 2, rounds=2, adds=lambda rank, round: 1.0)
    assert made.tolist() == pytest.approx([((1 + 1) / 2 + 1) / 2] * 3)


@pytest.mark.parametrize("weights", [(1e308, 3e307), (5e-324, 5e-324), (1e308, 0.0), (2.0, 1.0)])
def test_the_mean_is_right_for_weights_at_the_ends_of_their_range(weights):
    exact = [Fraction(weight) / sum(map(Fraction, weights)) for weight in weights]
    found = shares(torch.tensor(weights, dtype=torch.float64))
    assert found.tolist() == pytest.approx([float(share) for share in exact], rel=1e-15)


def test_one_trainer_alone_is_left_as_it_trained_to_the_bit():
    third = 1 / 3
    model = model_of()
    averaging = TimedAveraging(model, interval_steps=1, rounds=1, weight=7.0, comm=SingleProcess())
    assert averaging.running
    with torch.no_grad():
        model["body"].weight.add_(third)
    expected = flat(model)
    averaging.step()
    assert torch.equal(flat(model), expected)


@pytest.mark.parametrize("outer", ["none", "nesterov", "adam"])
def test_averaging_goes_on_from_its_state_in_the_middle_of_a_round(outer):
    def train(averaging, model, steps, stop=None):
        at = 0
        while averaging.running:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * (averaging.comm.rank + 1) * (averaging.rounds_done + 1))
            at += 1
            averaging.step(examples=3)
            if at == stop:
                return averaging.state_dict()
        return None

    def make(comm, model):
        return TimedAveraging(
            model, interval_steps=3, rounds=4, aggregator=Average(outer=outer), comm=comm
        )

    def whole(comm):
        model = model_of()
        averaging = make(comm, model)
        train(averaging, model, 12)
        return flat(model), averaging.examples_done

    def cut_short(comm):
        model = model_of()
        saved = train(make(comm, model), model, 12, stop=8)
        again = model_of((0.0, 0.0, 0.0))
        averaging = make(comm, again)
        averaging.load_state_dict(copy.deepcopy(saved))
        train(averaging, again, 12)
        return flat(again), averaging.examples_done

    expected = InProcessGroup(2).run(whole)
    found = InProcessGroup(2).run(cut_short)
    for (values, examples), (wanted, wanted_examples) in zip(found, expected, strict=True):
        assert torch.equal(values, wanted)
        assert examples == wanted_examples == 36


def test_state_of_an_outer_optimizer_is_not_dropped_in_silence():
    saved = Average(outer="nesterov")
    saved.load_state_dict({"momentum_buffer": torch.ones(2)})
    with pytest.raises(UserError, match="state momentum_buffer of an outer optimizer"):
        Average().load_state_dict(saved.state_dict())
    with pytest.raises(UserError, match=r"unknown outer optimizer 'nestrov'.*did you mean"):
        Average(outer="nestrov")


@pytest.mark.parametrize("outer", ["nesterov", "adam", "novograd"])
def test_state_of_an_outer_optimizer_of_another_model_names_both_sizes(outer):
    def next_parameters(aggregator, size):
        state = RoundState(round=1, rank=0, size=2, num_parameters=size)
        return aggregator.combine(Summed(torch.ones(size), torch.ones(1)), torch.ones(size), state)

    small, other = Average(outer=outer), Average(outer=outer)
    next_parameters(small, 3)
    other.load_state_dict(small.state_dict())
    next_parameters(other, 3)
    with pytest.raises(UserError, match="has 3 values, this model has 5 parameters"):
        next_parameters(other, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outer_lr": 0}, "outer_lr is 0; it must be a finite number above 0"),
        ({"outer_momentum": 1}, "outer_momentum is 1; it must be .* at least 0 and less than 1"),
    ],
)
def test_numbers_of_an_outer_optimizer_have_bounds(options, words):
    with pytest.raises(UserError, match=words):
        Average(outer="sgd", **options)
