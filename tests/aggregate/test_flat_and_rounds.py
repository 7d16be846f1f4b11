"""A model is one vector and back, its mean is weighted, and a round's records say what was done."""

import math

import pytest
import torch
from torch import nn

from hvdtma.aggregate import Average, RoundState, Summed
from hvdtma.aggregate.flat import FlatModel, FlatOptimizer, flatten
from hvdtma.aggregate.round import Aggregation, Round, Stop
from hvdtma.core.errors import UserError


def small_model() -> nn.Module:
    """Five parameters in two tensors, and buffers: two floats, one integer."""
    model = nn.Module()
    model.first = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    model.second = nn.Parameter(torch.tensor([5.0]))
    model.register_buffer("mean", torch.tensor([6.0, 7.0]))
    model.register_buffer("batches", torch.tensor(8))
    return model


def test_parameters_come_first_then_buffers_each_at_its_place():
    flat = FlatModel(small_model())
    assert flat.read().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (flat.num_parameters, flat.size, flat.trained) == (5, 8, None)
    assert flat.layout == {
        "first": slice(0, 4),
        "second": slice(4, 5),
        "mean": slice(5, 7),
        "batches": slice(7, 8),
    }


def test_a_vector_that_is_read_is_a_copy_and_integers_are_rounded_when_written():
    model = small_model()
    flat = FlatModel(model)
    values = flat.read()
    values += 0.6
    assert model.first[0, 0] == 1
    flat.write(values)
    assert flat.read().tolist() == pytest.approx([1.6, 2.6, 3.6, 4.6, 5.6, 6.6, 7.6, 9])
    named = flat.named(torch.arange(8) + 0.4)
    assert {name: value.tolist() for name, value in named.items()} == {
        "first": [pytest.approx([0.4, 1.4]), pytest.approx([2.4, 3.4])],
        "second": pytest.approx([4.4]),
        "mean": pytest.approx([5.4, 6.4]),
        "batches": 7,
    }
    assert model.batches == 9


def test_frozen_values_are_not_exchanged_and_keep_those_of_the_base():
    flat = FlatModel(small_model(), frozen=["first", "batches"])
    assert flat.trained.tolist() == [4, 5, 6]
    exchanged = flat.exchanged(torch.arange(8.0))
    assert exchanged.tolist() == [4, 5, 6]
    assert flat.spread(exchanged).tolist() == [0, 0, 0, 0, 4, 5, 6, 0]
    assert flat.with_frozen(torch.full((8,), 9.0), torch.arange(8.0)).tolist() == [
        *(0, 1, 2, 3),
        *(9, 9, 9),
        7,
    ]
    whole = FlatModel(small_model())
    values, base = torch.arange(8.0), torch.zeros(8)
    assert whole.exchanged(values) is whole.spread(values) is whole.with_frozen(values, base)
    assert whole.exchanged(values) is values


def test_values_of_another_model_are_refused_with_both_sizes():
    flat = FlatModel(small_model())
    flat.check_size(torch.zeros(8))
    for values in (torch.zeros(7), torch.zeros(8, 1)):
        words = f"it has {values.numel()} parameters and buffers, this model has 8"
        with pytest.raises(UserError, match=words):
            flat.check_size(values)


def test_one_double_makes_the_vector_double():
    single, double, whole = torch.ones(1), torch.ones(2, dtype=torch.float64), torch.tensor([3])
    assert flatten([]).dtype == flatten([single, whole]).dtype == torch.float32
    assert flatten([single, double, whole]).dtype == torch.float64
    assert flatten([single, double, whole]).tolist() == [1, 1, 1, 3]
    assert flatten([]).shape == (0,)


def test_an_optimizers_moments_are_a_vector_in_the_order_of_their_names():
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([first, second])
    flat = FlatOptimizer(adam)
    assert (flat.size, flat.read().tolist()) == (0, [])
    first.grad, second.grad = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    adam.step()
    names = sorted(name for name, value in adam.state[first].items() if torch.is_tensor(value))
    expected = [
        value
        for parameter in (first, second)
        for name in names
        for value in adam.state[parameter][name].reshape(-1).tolist()
    ]
    assert flat.read().tolist() == expected
    assert flat.size == len(expected) > 6
    flat.write(flat.read() * 2)
    assert flat.read().tolist() == pytest.approx([2 * value for value in expected])
    flat.reset()
    assert flat.size == 0
    nothing = FlatOptimizer(None)
    nothing.reset()
    assert (nothing.tensors, nothing.size) == ([], 0)


def test_the_outcome_of_an_aggregation_is_that_of_the_announced_rows():
    #        arrived, weight, steps, examples, loss sum, trained, stop, bad, newcomers, finished
    rows = [
        [5.0, 2.0, 4.0, 40.0, 6.0, 3.5, 0, 0, 0, 0],
        [7.0, 3.0, 0.0, 0.0, 0.0, 4.5, 0, 0, 0, 0],
    ]
    found = Aggregation.of(torch.tensor(rows, dtype=torch.float64), torch.tensor([1.0, 0]), 3, 0.25)
    assert math.isnan(found.losses.pop())
    assert found == Aggregation(
        round=3,
        time_s=7.0,
        aggregate_s=0.25,
        steps=[4, 0],
        examples=[40, 0],
        losses=[1.5],
        train_s=[3.5, 4.5],
        wait_s=[2.0, 0.0],
        weights=[1.0, 0.0],
    )


def test_the_highest_reason_to_stop_wins_and_each_has_words():
    assert max(Stop.ROUNDS, Stop.TIME_LIMIT, Stop.EARLY) is Stop.EARLY
    assert Stop.NOT < Stop.ROUNDS < Stop.TIME_LIMIT < Stop.EARLY < Stop.NAN_LOSS
    assert Stop.NAN_LOSS < Stop.INTERRUPTED < Stop.FINISHED
    words = [Stop(number).words for number in range(1, 7)]
    assert words == [
        *("rounds", "time limit", "early stopping"),
        *("NaN loss", "interrupted", "finished"),
    ]


def test_losses_are_summed_when_they_are_read_and_the_first_bad_step_is_kept():
    progress = Round(began=0.0)
    assert (progress.steps, progress.examples, progress.loss_sum, progress.bad_step) == (0,) * 4
    progress.flush_losses(10)
    assert not progress.has_losses
    progress.steps, progress.pending = 2, [torch.tensor(1.5), torch.tensor(2.0)]
    progress.flush_losses(10)
    assert (progress.loss_sum, progress.last_loss, progress.bad_step) == (3.5, 2.0, 0)
    assert progress.pending == []
    assert progress.has_losses
    progress.steps = 5
    progress.pending = [torch.tensor(0.5), torch.tensor(math.nan), torch.tensor(math.inf)]
    progress.flush_losses(10)
    assert progress.bad_step == 10 + 4  # the fourth step of the round, after ten of earlier ones
    progress.steps, progress.pending = 6, [torch.tensor(-math.inf)]
    progress.flush_losses(10)
    assert progress.bad_step == 14


@pytest.mark.parametrize(
    ("last", "total", "has"), [(None, 0.0, False), (0.0, 0.0, True), (None, -1.0, True)]
)
def test_a_loss_of_zero_is_a_loss_and_a_resumed_sum_tells_of_some(last, total, has):
    assert Round(began=0.0, last_loss=last, loss_sum=total).has_losses is has


AT = RoundState(round=1, rank=0, size=2, num_parameters=2)  # two parameters, then a buffer
BASE, SUM = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 8.0, 12.0])


def test_an_update_counts_by_its_weight_and_the_mean_is_added():
    update = torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    numerator, denominator = Average().contribute(update, 3.0, AT)
    assert (numerator.tolist(), denominator.tolist()) == ([0, 3, -6], [3])
    assert denominator.dtype == torch.float64
    plain = Average()
    assert plain.combine(Summed(SUM, torch.tensor([4.0])), BASE, AT).tolist() == [2, 4, 6]
    assert plain.combine(Summed(SUM, torch.tensor([0.0])), BASE, AT).tolist() == [1, 2, 3]
    each = torch.tensor([4.0, 0.0, 6.0])
    assert plain.combine(Summed(SUM, each), BASE, AT).tolist() == [2, 2, 5]
    assert plain.state_dict() == {}
    plain.load_state_dict({})
    assert plain.exact_alone
    assert not Average(outer="sgd").exact_alone


def test_an_outer_step_goes_along_the_mean_and_its_momentum_can_be_saved_and_dropped():
    outer = Average(outer="nesterov")  # learning rate 0.7, momentum 0.9
    assert outer.state_dict() == {}
    received = Summed(SUM, torch.tensor([4.0]))  # means 1, 2 and 3
    first = outer.combine(received, BASE, AT)
    step = 0.7 * (1 + 0.9)
    assert first.tolist() == pytest.approx([1 + step, 2 + 2 * step, 3 + 3])
    saved = outer.state_dict()
    assert saved["momentum_buffer"].tolist() == [-1, -2]
    other = Average(outer="nesterov")
    other.load_state_dict(saved)
    second = outer.combine(received, BASE, AT)
    step = 0.7 * (1 + 0.9 * 1.9)
    assert second.tolist() == pytest.approx([1 + step, 2 + 2 * step, 3 + 3])
    assert saved["momentum_buffer"].tolist() == pytest.approx([-1.9, -3.8])  # that of `outer`
    other.load_state_dict({"momentum_buffer": torch.tensor([-1.0, -2.0])})
    assert torch.equal(other.combine(received, BASE, AT), second)
    other.load_state_dict({})
    assert torch.equal(other.combine(received, BASE, AT), first)


def test_loaded_momentum_is_a_copy():
    given = {"momentum_buffer": torch.tensor([-1.0, -2.0])}
    outer = Average(outer="nesterov")
    outer.load_state_dict(given)
    outer.combine(Summed(SUM, torch.tensor([4.0])), BASE, AT)
    assert given["momentum_buffer"].tolist() == [-1, -2]


@pytest.mark.parametrize("momentum", [0, 0.5, 0.999])
def test_a_momentum_from_zero_to_below_one_is_taken(momentum):
    Average(outer="sgd", outer_lr=1e-9, outer_momentum=momentum)
