"""An assignment gives every block to one trainer, evenly, and is known to all without a word."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.partitioning.assignment import assign_blocks, assignment_units


def cut(block_sizes, part_sizes=None):
    """What an assignment reads of a store: blocks of these sizes, parts of so many blocks."""
    return SimpleNamespace(
        path="graph.zarr",
        num_blocks=len(block_sizes),
        block_offsets=np.cumsum([0, *block_sizes]),
        part_offsets=None if part_sizes is None else np.cumsum([0, *part_sizes]),
    )


@st.composite
def cuts(draw):
    part_sizes = draw(st.none() | st.lists(st.integers(1, 5), min_size=1, max_size=12))
    num_blocks = draw(st.integers(1, 40)) if part_sizes is None else sum(part_sizes)
    sizes = st.lists(st.integers(1, 50), min_size=num_blocks, max_size=num_blocks)
    return cut(draw(sizes), part_sizes)


SEEDS = st.integers(0, 2**40)


@settings(max_examples=200, deadline=None)
@given(cuts(), SEEDS, st.integers(0, 1000), st.data())
def test_every_block_is_assigned_once_and_evenly(store, seed, number, data):
    units = assignment_units(store)
    trainers = data.draw(st.integers(1, len(units)))
    blocks_of = assign_blocks(store, trainers, seed=seed, number=number)
    assert len(blocks_of) == trainers
    assert np.sort(np.concatenate(blocks_of)).tolist() == list(range(store.num_blocks))
    assert all(len(blocks) and (np.diff(blocks) > 0).all() for blocks in blocks_of)
    sizes = np.diff(store.block_offsets)
    nodes = [sizes[blocks].sum() for blocks in blocks_of]
    assert max(nodes) - min(nodes) <= max(sizes[unit].sum() for unit in units)
    for unit in units:  # a min-cut part is never torn
        assert sum(bool(np.isin(unit, blocks).any()) for blocks in blocks_of) == 1


@settings(max_examples=60, deadline=None)
@given(cuts(), SEEDS, st.integers(0, 1000), st.data())
def test_an_assignment_is_a_function_of_seed_number_and_trainers(store, seed, number, data):
    trainers = data.draw(st.integers(1, len(assignment_units(store))))
    np.random.default_rng().random()  # no state of the process is in it
    first, second = (assign_blocks(store, trainers, seed=seed, number=number) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_another_number_seed_or_number_of_trainers_gives_another_assignment():
    store = cut([10] * 40)
    assignments = {
        tuple(map(tuple, assign_blocks(store, trainers, seed=seed, number=number)))
        for trainers, seed, number in ((2, 0, 0), (2, 0, 1), (2, 1, 0), (3, 0, 0), (2, 7, 1))
    }
    assert len(assignments) == 5


def test_any_two_blocks_meet_sooner_or_later():
    store = cut([10] * 12)
    met = np.zeros((12, 12), bool)
    for number in range(60):
        for blocks in assign_blocks(store, 3, seed=0, number=number):
            met[np.ix_(blocks, blocks)] = True
    assert met.all()


def test_no_trainer_is_favoured():
    nodes = np.zeros(3)
    store = cut([30, 1, 1, 1])
    for number in range(300):
        blocks_of = assign_blocks(store, 3, number=number)
        nodes += [0 in blocks for blocks in blocks_of]
    assert (nodes > 70).all()


def test_one_trainer_has_everything():
    assert assign_blocks(cut([3, 4, 5]), 1)[0].tolist() == [0, 1, 2]


def test_the_first_assignment_of_seed_0_is_what_nobody_asked_otherwise():
    store = cut([10] * 40)
    given = assign_blocks(store, 3), assign_blocks(store, 3, seed=0, number=0)
    assert all((a == b).all() for a, b in zip(*given, strict=True))


@pytest.mark.parametrize("trainers", [0, -1])
def test_a_number_of_trainers_below_one_is_refused(trainers):
    with pytest.raises(UserError, match=f"trainers is {trainers}; it must be at least 1"):
        assign_blocks(cut([3, 4, 5]), trainers)


def test_more_trainers_than_units_is_refused_with_what_to_do(community_store, tmp_path):
    with pytest.raises(UserError, match=r"61 trainers.*only 60 blocks.*at most 60.*--block-nodes"):
        assign_blocks(community_store, 61)
    options = PartitionOptions("min-cut", {"parts": 3}, block_nodes=10)
    store = partition(community_store, tmp_path / "x.zarr", options)
    with pytest.raises(UserError, match=r"4 trainers.*only 3 parts to assign.*more --parts"):
        assign_blocks(store, 4)
    assert store.num_blocks > 50
    assert len(assignment_units(store)) == 3
