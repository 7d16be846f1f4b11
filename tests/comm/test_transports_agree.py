"""Collectives give the same answers on every transport, and signals are heard in them."""

import sys
from pathlib import Path

import pytest
import torch
from collectives import answers
from launchers import launched

from hvdtma.comm import InProcessGroup

SCRIPT = Path(__file__).with_name("collectives.py")
SIZE = 3


@pytest.mark.parametrize("launcher", ["horovodrun", "torchrun"])
def test_every_collective_gives_the_answers_of_trainers_in_one_process_bit_for_bit(
    launcher, tmp_path
):
    done = launched(launcher, SIZE, sys.executable, SCRIPT, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for rank, expected in enumerate(InProcessGroup(SIZE).run(answers)):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert same(found[name], value), (rank, name)


def same(one, other):
    """Whether two answers are equal: tensors in every bit, lists in every entry."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
