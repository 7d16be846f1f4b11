"""Averaging: the weighted mean, outer steps, optimiser state, stopping, losses that are NaN."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hvdtma import TimedAveraging
from hvdtma.aggregate import Average, NonFiniteLoss, RoundState, Stop, Summed
from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.errors import UserError


def model_with(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


class Ticking(SingleProcess):
    """A clock that stands still until a test moves it."""

    now = 100.0

    def clock(self):
        return self.now


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def one_round(locals_: list[float], weights: list[float], start: float = 1.0, **options):
    """Trainers that move from `start` to their local value; what each ends up with."""

    def trainer(comm):
        model = model_with(start)
        averaging = TimedAveraging(
            model, interval_steps=1, rounds=1, weight=weights[comm.rank], comm=comm, **options
        )
        assert averaging.running
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(locals_[comm.rank])
        outcome = averaging.step()
        return flat(model), outcome

    return InProcessGroup(len(locals_)).run(trainer)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-100, 100, width=32), st.floats(0.125, 1000, width=32)),
        min_size=2,
        max_size=5,
    )
)
def test_parameters_become_the_weighted_mean(trainers):
    locals_, weights = zip(*trainers, strict=True)
    expected = sum(x * w for x, w in trainers) / sum(weights)
    for parameters, outcome in one_round(list(locals_), list(weights)):
        scale = max(1.0, *(abs(x) for x in locals_))
        assert torch.allclose(parameters, torch.tensor(expected), rtol=0, atol=1e-6 * scale)
        assert sum(outcome.weights) == pytest.approx(1)


def test_a_model_of_doubles_keeps_its_precision():
    third = torch.tensor(1 / 3, dtype=torch.float64)

    def trainer(comm):
        model = model_with(0.0).double()
        averaging = TimedAveraging(model, interval_steps=1, rounds=1, comm=comm)
        assert averaging.running
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(third)
        averaging.step()
        return flat(model)

    for parameters in InProcessGroup(2).run(trainer):
        assert torch.allclose(parameters, third, rtol=0, atol=1e-15)


def test_a_trainer_of_weight_zero_counts_for_nothing():
    for parameters, _ in one_round([5.0, -77.0], [2.0, 0.0]):
        assert torch.equal(parameters, torch.full_like(parameters, 5.0))


def test_parameters_stay_when_nobody_has_weight():
    for parameters, _ in one_round([5.0, 7.0], [0.0, 0.0], start=1.5):
        assert torch.equal(parameters, torch.full_like(parameters, 1.5))


def test_every_trainer_begins_with_the_first_ones_parameters():
    def trainer(comm):
        model = model_with(float(comm.rank + 3))
        assert TimedAveraging(model, interval_steps=1, rounds=1, comm=comm).running
        return flat(model)

    for parameters in InProcessGroup(3).run(trainer):
        assert torch.equal(parameters, torch.full_like(parameters, 3.0))


def test_nesterov_is_momentum_on_the_averaged_update_written_out():
    """DiLoCo (arXiv 2311.08105): v = m v + u; theta = theta + lr (u + m v)."""
    theta = expected = torch.zeros(4)
    velocity = torch.zeros(4)
    outer = Average(outer="nesterov", outer_lr=0.7, outer_momentum=0.9)
    state = RoundState(round=1, rank=0, size=3, num_parameters=4)
    for update in torch.randn(5, 4):
        theta = outer.combine(Summed(3 * update, torch.tensor([3.0])), theta, state)
        velocity = 0.9 * velocity + update
        expected = expected + 0.7 * (update + 0.9 * velocity)
        assert torch.allclose(theta, expected, atol=1e-6)


def test_an_outer_optimizer_moves_parameters_and_never_buffers():
    outer = Average(outer="nesterov")
    base, update = torch.ones(3), torch.tensor([1.0, 1.0, -0.5])
    state = RoundState(round=1, rank=0, size=1, num_parameters=2)
    made = outer.combine(Summed(update, torch.ones(1)), base, state)
    assert made[2] == 0.5  # a running variance: base plus mean
    assert made[:2].tolist() == pytest.approx([1 + 0.7 * 1.9] * 2)


def test_the_mean_leaves_alone_what_nobody_trained():
    summed = Summed(torch.tensor([2.0, 0.0, 3.0]), torch.tensor([1.0, 0.0, 2.0]))
    assert summed.mean.tolist() == [2.0, 0.0, 1.5]


def test_float_buffers_are_averaged_and_integer_ones_rounded():
    def trainer(comm):
        model = model_with(1.0)
        averaging = TimedAveraging(model, interval_steps=1, rounds=1, comm=comm)
        assert averaging.running
        model[1].running_mean.fill_(float(comm.rank))
        model[1].num_batches_tracked.fill_(10 + comm.rank)
        averaging.step()
        return model[1].running_mean.clone(), int(model[1].num_batches_tracked)

    for mean, batches in InProcessGroup(2).run(trainer):
        assert torch.allclose(mean, torch.full((2,), 0.5))
        assert batches == 10  # 10.5, rounded to even


@pytest.mark.parametrize("state", ["keep", "reset", "average"])
def test_optimizer_state_is_kept_reset_or_averaged(state):
    def trainer(comm):
        model = model_with(1.0)
        optimizer = torch.optim.Adam(model.parameters())
        averaging = TimedAveraging(
            model, optimizer, interval_steps=1, rounds=1, optimizer_state=state, comm=comm
        )
        assert averaging.running
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 2.0 * comm.rank + 1.0)
        optimizer.step()
        averaging.step()
        return [s["exp_avg"] for s in optimizer.state.values()]

    first, second = InProcessGroup(2).run(trainer)
    if state == "reset":
        assert first == second == []
        return
    expected = {"keep": (0.1, 0.3), "average": (0.2, 0.2)}[state]
    for moments, value in zip((first, second), expected, strict=True):
        assert moments
        for moment in moments:
            assert torch.allclose(moment, torch.full_like(moment, value))


def with_state_averaged(comm, *, rounds):
    """A model with Adam, and an averaging of both that is under way."""
    model = model_with(1.0)
    optimizer = torch.optim.Adam(model.parameters())
    options = {"optimizer_state": "average", "comm": comm}
    averaging = TimedAveraging(model, optimizer, interval_steps=1, rounds=rounds, **options)
    assert averaging.running
    return model, optimizer, averaging


def test_who_sits_a_round_out_needs_no_optimizer_state_to_average():
    """A newcomer, say; the round after, its own counts as the others' do."""

    def trainer(comm):
        model, optimizer, averaging = with_state_averaged(comm, rounds=2)
        found = []
        for number in range(2):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 2.0 * comm.rank + 1.0)
            if comm.rank < 2 or number:
                optimizer.step()
                averaging.step()
            else:
                averaging.aggregate()
            found.append([float(s["exp_avg"].mean()) for s in optimizer.state.values()])
        return found

    first, second, newcomer = InProcessGroup(3).run(trainer)
    assert first[0] == second[0] == pytest.approx([0.2] * 4)
    assert newcomer[0] == []
    after = (0.9 * 0.2 + 0.1, 0.9 * 0.2 + 0.3, 0.5)
    for found in (first[1], second[1], newcomer[1]):
        assert found == pytest.approx([sum(after) / 3] * 4)


def test_optimizer_states_that_differ_are_not_averaged():
    def trainer(comm):
        model, optimizer, averaging = with_state_averaged(comm, rounds=1)
        if comm.rank:
            model[0].weight.grad = torch.ones(2, 3)
            optimizer.step()
        with pytest.raises(UserError, match="have 0, 13 values"):
            averaging.step()
        return True

    assert InProcessGroup(2).run(trainer) == [True, True]


def test_one_trainers_wish_to_stop_stops_all_at_the_next_aggregation():
    def trainer(comm):
        averaging = TimedAveraging(model_with(0.0), interval_steps=2, rounds=50, comm=comm)
        while averaging.running:
            if comm.rank == 1 and averaging.rounds_done == 3:
                averaging.stop()
            averaging.step()
        return averaging.rounds_done, averaging.stopped.words

    assert InProcessGroup(3).run(trainer) == [(4, "early stopping")] * 3


def test_an_interruption_is_not_forgotten_when_training_would_stop_early_too():
    averaging = TimedAveraging(model_with(0.0), interval_steps=1, comm=SingleProcess())
    averaging.start()
    averaging.stop(Stop.INTERRUPTED)
    averaging.stop()
    averaging.step()
    assert averaging.stopped is Stop.INTERRUPTED


def test_a_loss_that_is_not_finite_stops_everyone_and_names_trainer_step_and_round():
    def trainer(comm):
        averaging = TimedAveraging(model_with(0.0), interval_steps=3, rounds=9, comm=comm)
        step = 0
        with pytest.raises(NonFiniteLoss) as caught:
            while averaging.running:
                step += 1
                bad = comm.rank == 1 and step == 8
                averaging.step(torch.tensor(math.nan if bad else 1.0))
        return str(caught.value)

    for message in InProcessGroup(2).run(trainer):
        assert "trainer 1" in message
        assert "step 8" in message
        assert "last good round is 2" in message


def test_rounds_end_by_the_clock_on_a_grid_from_the_common_start():
    comm = Ticking()
    averaging = TimedAveraging(model_with(0.0), interval_s=10, time_limit_s=30, comm=comm)
    arrivals, steps = [], []
    while averaging.running:
        comm.now += 4.0
        outcome = averaging.step()
        if outcome:
            arrivals.append(outcome.time_s)
            steps.append(outcome.steps[0])
    assert arrivals == [12.0, 20.0, 32.0]
    assert steps == [3, 2, 3]
    assert averaging.stopped.words == "time limit"


def test_time_that_is_paused_is_no_training_time():
    comm = Ticking()
    averaging = TimedAveraging(model_with(0.0), interval_steps=2, rounds=1, comm=comm)
    assert averaging.running
    comm.now += 3.0
    averaging.step()
    with averaging.paused():
        comm.now += 5.0
    averaging.step()
    assert averaging.train_s == 3.0
    assert averaging.elapsed_s == 8.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval_s": None}, "set interval_s .* or interval_steps"),
        ({"interval_s": 0}, "interval_s is 0; it must be a finite number above 0"),
        ({"interval_s": -1.0}, "interval_s is -1.0; it must be"),
        ({"interval_s": math.inf}, "interval_s is inf; it must be a finite number"),
        ({"interval_steps": 0}, "interval_steps is 0; it must be a whole number, at least 1"),
        ({"interval_steps": 2.5}, "interval_steps is 2.5; it must be a whole number"),
        ({"rounds": 0}, "rounds is 0; it must be a whole number, at least 1"),
        ({"rounds": "3"}, "rounds is '3'; it must be"),
        ({"rounds": True}, "rounds is True; it must be"),
        ({"time_limit_s": -5}, "time_limit_s is -5; it must be"),
        ({"time_limit_s": math.nan}, "time_limit_s is nan; it must be"),
        ({"weight": -1}, "weight is -1; it must be a finite number, at least 0"),
        ({"weight": math.inf}, "weight is inf; it must be"),
        ({"optimizer_state": "forget"}, "optimizer_state is 'forget'; valid: keep"),
        ({"optimizer_state": "reset"}, "optimizer_state 'reset' needs the optimizer"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        TimedAveraging(model_with(0.0), comm=SingleProcess(), **{"interval_s": 1} | options)


def test_the_state_of_another_model_is_refused_and_changes_nothing():
    def averaging_of(model):
        return TimedAveraging(model, interval_steps=1, comm=SingleProcess())

    other, own = nn.Linear(4, 1), model_with(3.0)
    averaging, before = averaging_of(own), flat(own)
    for load, state in (
        (averaging.load_state_dict, averaging_of(other).state_dict()),
        (averaging.load_global_state, averaging_of(other).global_state()),
        (averaging.load_rank_state, averaging_of(other).rank_state()),
    ):
        with pytest.raises(UserError, match="it has 5 parameters and buffers, this model has 17"):
            load(state)
    with pytest.raises(UserError, match="has no 'global'; its keys are weight, bias"):
        averaging.load_state_dict(other.state_dict())
    assert torch.equal(flat(own), before)


def test_a_round_that_took_several_intervals_is_one_round():
    comm = Ticking()
    averaging = TimedAveraging(model_with(0.0), interval_s=10, time_limit_s=60, comm=comm)
    assert averaging.running
    comm.now += 35.0
    assert averaging.step()
    comm.now += 4.0
    assert averaging.step() is None  # at 39: the next deadline is 40
    comm.now += 1.0
    assert averaging.step()


def test_parameters_that_are_not_finite_are_no_good_round():
    def trainer(comm):
        model = model_with(1.0)
        averaging = TimedAveraging(model, interval_steps=1, rounds=2, comm=comm)
        assert averaging.running
        if comm.rank == comm.size - 1:
            with torch.no_grad():
                model[0].weight.fill_(math.inf)
        with pytest.raises(NonFiniteLoss, match="last good round is 0"):
            averaging.step(torch.tensor(1.0))
        return True

    assert InProcessGroup(2).run(trainer) == [True, True]
    assert trainer(SingleProcess())


def test_a_step_before_the_start_is_refused_and_not_undone_later():
    averaging = TimedAveraging(model_with(0.0), interval_steps=1, comm=SingleProcess())
    with pytest.raises(UserError, match="before the first step"):
        averaging.step()
    averaging.start()
    assert averaging.step().steps == [1]
