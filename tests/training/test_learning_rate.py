"""The learning rate follows its schedule, in steps, rounds and seconds, and after a resume."""

import math

import pytest
import torch

from hvdtma.aggregate import TimedAveraging
from hvdtma.aggregate.state import GlobalState
from hvdtma.comm import SingleProcess
from hvdtma.comm.in_process import InProcessGroup
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.runs.folder import StartMode
from hvdtma.training.learning_rate import learning_rate_factor
from hvdtma.training.session import train
from hvdtma.training.trainer import Trainer


@pytest.mark.parametrize(
    ("done", "name", "expected"),
    [
        (0, "constant", 1 / 5),
        (3, "constant", 4 / 5),
        (4, "constant", 1),
        (900, "constant", 1),
        (4, "linear", 1),
        (9, "linear", 0.1 + 0.9 / 2),
        (14, "linear", 0.1),
        (99, "linear", 0.1),
        (9, "cosine", 0.1 + 0.9 / 2),
        (6.5, "cosine", 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2),
        (14, "cosine", 0.1),
    ],
)
def test_factors(done, name, expected):
    found = learning_rate_factor(done, name, warmup=4, length=14, end=0.1)
    assert found == pytest.approx(expected)


def config_for(store, run, unit, **changes):
    schedule = {"name": "linear", "unit": unit, "warmup": 2, "length": 8} | changes
    return parse_config(
        {
            "store": str(store.path),
            "run": str(run),
            "rounds": 4,
            "interval_steps": 3,
            "model": {"hidden": 8},
            "optimizer": {"lr": 0.01, "schedule": schedule},
            "evaluate": {"mode": "final"},
        }
    )


def rates_of(monkeypatch, config, comm=None):
    rates, step = [], Trainer.take_step

    def watched(trainer):
        rates.append(trainer.optimizer.param_groups[0]["lr"] / 0.01)
        return step(trainer)

    monkeypatch.setattr(Trainer, "take_step", watched)
    train(config, comm or SingleProcess())
    return rates


@pytest.mark.parametrize("unit", ["steps", "rounds"])
def test_each_step_has_the_rate_of_its_place(monkeypatch, community_store, tmp_path, unit):
    rates = rates_of(monkeypatch, config_for(community_store, tmp_path / "run", unit))
    done = [step // 3 if unit == "rounds" else step for step in range(12)]
    assert rates == pytest.approx([learning_rate_factor(d, "linear", 2, 8) for d in done])


def clock_of_steps(monkeypatch, seconds_per_step):
    """A communicator whose clock advances with every step, by the same time."""
    comm, step = SingleProcess(), Trainer.take_step
    seconds = [0.0]

    def timed(trainer):
        seconds[0] += seconds_per_step
        return step(trainer)

    monkeypatch.setattr(Trainer, "take_step", timed)
    monkeypatch.setattr(comm, "clock", lambda: seconds[0])
    return comm


def test_seconds_are_those_of_training(monkeypatch, community_store, tmp_path):
    comm = clock_of_steps(monkeypatch, 0.5)
    config = config_for(community_store, tmp_path / "run", "seconds", warmup=2.0, length=5.0)
    rates = rates_of(monkeypatch, config, comm)
    rising = [number / 4 for number in range(4)]
    falling = [number / 6 for number in range(6, -1, -1)]
    assert rates == pytest.approx([*rising, *falling, 0])


def test_a_decay_needs_an_end(community_store, tmp_path):
    with pytest.raises(UserError, match=r"give optimizer\.schedule\.length"):
        config_for(community_store, tmp_path, "steps", length=None)
    assert config_for(community_store, tmp_path, "rounds", length=None).schedule_length == 4


def test_a_schedule_changes_what_is_learnt_and_a_constant_one_nothing(community_store, tmp_path):
    parameters = []
    for number, changes in enumerate(({}, {"name": "constant", "warmup": 0})):
        config = config_for(community_store, tmp_path / str(number), "steps", **changes)
        train(config, SingleProcess())
        parameters.append((config.run / "best.safetensors").read_bytes())
    assert parameters[0] != parameters[1]
    assert torch.is_grad_enabled()


def averaging_of(comm, **options):
    model = torch.nn.Linear(2, 1)
    return TimedAveraging(model, interval_steps=4, comm=comm, **options)


def test_trainers_of_different_speed_share_the_steps_of_the_schedule():
    """The common count is the mean over the trainers that took steps; it survives a resumption."""

    def steps_of(comm):
        averaging = averaging_of(comm, rounds=3)
        counts = []
        while averaging.running:
            for _ in range((0, 2, 4)[comm.rank]):
                averaging.record_step(torch.tensor(1.0))
            averaging.aggregate()
            counts.append(averaging.mean_steps)
        return counts, averaging.global_state()

    for counts, state in InProcessGroup(3).run(steps_of):
        assert counts == [3, 6, 9]
        resumed = averaging_of(SingleProcess())
        resumed.load_global_state(GlobalState.from_dict(state.as_dict()))
        assert resumed.mean_steps == 9


def test_a_resumption_with_another_number_of_trainers_keeps_the_rate(
    monkeypatch, community_store, tmp_path
):
    config = config_for(community_store, tmp_path / "run", "steps", warmup=0, length=12)
    two = config.model_copy(update={"rounds": 2})
    InProcessGroup(2).run(lambda comm: train(two, comm))
    rates, step = [], Trainer.take_step

    def watched(trainer):
        rates.append(trainer.optimizer.param_groups[0]["lr"] / 0.01)
        return step(trainer)

    monkeypatch.setattr(Trainer, "take_step", watched)
    train(config, SingleProcess(), mode=StartMode.RESUME)
    assert rates == pytest.approx([1 - done / 12 for done in range(6, 12)])
