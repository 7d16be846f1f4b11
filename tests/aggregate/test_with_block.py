"""`with TimedAveraging(...)`: steps are counted by a hook on the optimizer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from hvdtma import TimedAveraging
from hvdtma.aggregate import Stop
from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.errors import UserError

ROOT = Path(__file__).parents[2]


def seeded(rank: int) -> tuple[nn.Module, torch.optim.Optimizer, torch.Generator]:
    torch.manual_seed(7 + rank)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    return model, torch.optim.Adam(model.parameters()), torch.Generator().manual_seed(rank)


def take_step(model, optimizer, generator) -> torch.Tensor:
    x = torch.randn(6, 4, generator=generator)
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def values_of(model) -> torch.Tensor:
    return torch.cat([value.detach().double().reshape(-1) for value in model.state_dict().values()])


def in_a_block(steps_of_rank, **options):
    """Trainers with loops of their own lengths."""

    def trainer(comm):
        model, optimizer, generator = seeded(comm.rank)
        with TimedAveraging(model, optimizer, comm=comm, **options) as averaging:
            for _ in range(steps_of_rank[comm.rank]):
                take_step(model, optimizer, generator)
        assert not optimizer._optimizer_step_post_hooks
        return values_of(model), averaging

    return InProcessGroup(len(steps_of_rank)).run(trainer)


@pytest.mark.parametrize("trainers", [1, 2, 3])
def test_parameters_are_those_of_explicit_calls_bit_for_bit(trainers):
    def explicit(comm):
        model, optimizer, generator = seeded(comm.rank)
        averaging = TimedAveraging(model, optimizer, interval_steps=3, rounds=4, comm=comm)
        while averaging.running:
            averaging.step(take_step(model, optimizer, generator))
        return values_of(model)

    expected = InProcessGroup(trainers).run(explicit)
    found = in_a_block([12] * trainers, interval_steps=3, rounds=4)
    for want, (values, averaging) in zip(expected, found, strict=True):
        assert torch.equal(values, want)
        assert averaging.stopped is Stop.ROUNDS
        assert averaging.steps_done == 12


def test_loops_of_different_lengths_end_with_equal_parameters_and_lose_no_step():
    found = in_a_block([4, 11, 0], interval_steps=3)
    first = found[0][0]
    for values, averaging in found:
        assert torch.equal(values, first)
        assert averaging.stopped is Stop.FINISHED
        assert averaging.rounds_done == 4
    assert [averaging.steps_done for _, averaging in found] == [4, 11, 0]
    assert found[0][1].last.steps == [0, 2, 0]


def test_one_trainer_alone_trains_as_plain_pytorch_does():
    [(values, averaging)] = in_a_block([7], interval_s=3600)
    model, optimizer, generator = seeded(0)
    for _ in range(7):
        take_step(model, optimizer, generator)
    assert torch.equal(values, values_of(model))
    assert averaging.rounds_done == 1
    assert averaging.last.losses[0] != averaging.last.losses[0]  # NaN: no loss was given


def test_an_error_inside_leaves_no_hook_and_averages_nothing():
    model, optimizer, generator = seeded(0)
    averaging = TimedAveraging(model, optimizer, interval_steps=5, comm=SingleProcess())
    with pytest.raises(ZeroDivisionError), averaging:
        take_step(model, optimizer, generator)
        1 / 0  # noqa: B018
    assert not optimizer._optimizer_step_post_hooks
    assert averaging.rounds_done == 0
    take_step(model, optimizer, generator)
    assert averaging.round.steps == 1
    with averaging:  # the block may be entered again
        take_step(model, optimizer, generator)
    assert averaging.steps_done == 2


def test_a_step_after_the_last_round_is_refused_and_leaves_no_hook():
    model, optimizer, generator = seeded(0)
    words = r"over after round 2 \(rounds\).*leave the loop when `averaging.running` is false"
    with (
        pytest.raises(UserError, match=words),
        TimedAveraging(model, optimizer, interval_steps=2, rounds=2, comm=SingleProcess()),
    ):
        for _ in range(5):
            take_step(model, optimizer, generator)
    assert not optimizer._optimizer_step_post_hooks


def test_what_counts_steps_twice_or_cannot_count_them_is_refused():
    model, optimizer, _ = seeded(0)
    averaging = TimedAveraging(model, optimizer, interval_steps=2, rounds=1, comm=SingleProcess())
    with averaging:
        with pytest.raises(UserError, match="counts each optimizer step; leave out step"):
            averaging.step()
        with pytest.raises(UserError, match="in a `with` block already"):
            averaging.__enter__()
    with pytest.raises(UserError, match=r"is over \(rounds\); make another one"):
        averaging.__enter__()
    with (
        pytest.raises(UserError, match="needs the optimizer, whose steps it counts"),
        TimedAveraging(model, interval_steps=2, comm=SingleProcess()),
    ):
        pass


def test_the_loop_of_the_docs_runs_under_horovod_with_unequal_data():
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["horovodrun", "-np", "2", sys.executable, str(ROOT / "docs/own_loop.py")],
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = dict(re.findall(r"trainer (\d): (.*)", done.stdout))
    assert said["0"].startswith("3000 steps")
    assert said["1"].startswith("4000 steps")
    weights = {text.partition("weights ")[2].strip() for text in said.values()}
    assert len(weights) == 1
