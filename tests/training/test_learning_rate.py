"""The learning rate follows its schedule, in steps, rounds and seconds, and after a resume."""

import math

import pytest
import torch

from hvdtma.comm import SingleProcess
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
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


def rates_of(monkeypatch, config):
    rates, step = [], Trainer.take_step

    def watched(trainer):
        rates.append(trainer.optimizer.param_groups[0]["lr"] / 0.01)
        return step(trainer)

    monkeypatch.setattr(Trainer, "take_step", watched)
    train(config, SingleProcess())
    return rates


@pytest.mark.parametrize("unit", ["steps", "rounds"])
def test_each_step_has_the_rate_of_its_place(monkeypatch, community_store, tmp_path, unit):
    rates = rates_of(monkeypatch, config_for(community_store, tmp_path / "run", unit))
    done = [step // 3 if unit == "rounds" else step for step in range(12)]
    assert rates == pytest.approx([learning_rate_factor(d, "linear", 2, 8) for d in done])


def test_seconds_are_those_of_training(monkeypatch, community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", "seconds", warmup=0.0, length=1e6)
    rates = rates_of(monkeypatch, config)
    assert all(0.99 < rate <= 1 for rate in rates)
    assert rates == sorted(rates, reverse=True)


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
