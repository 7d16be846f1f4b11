"""A shard in resident sets: every block has its turn, and the next set is read ahead."""

import itertools
import shutil
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.comm import SingleProcess
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.store import open_store
from hvdtma.sampling.budget import ShardFootprint, expected_edges, fitting_sets
from hvdtma.sampling.resident import ResidentSets, block_sets
from hvdtma.training.callback import Callback
from hvdtma.training.loop import train_rounds
from hvdtma.training.set_up import make_averaging, make_trainer


def config_of(store, **more):
    values = {
        "interval_steps": 20,
        "rounds": 3,
        "model": {"hidden": 8},
        "evaluate": {"mode": "final"},
    }
    return parse_config({"store": str(store.path), "run": "unused", **values, **more})


def trained(store, **more):
    """A trainer after its rounds, and its averaging."""
    config = config_of(store, **more)
    trainer = make_trainer(config, store, SingleProcess(), torch.device("cpu"))
    averaging = make_averaging(trainer, SingleProcess())
    train_rounds(trainer, averaging, Callback())
    return trainer, averaging


@given(st.integers(1, 40), st.data())
def test_each_block_is_in_one_set_of_a_sweep(num_blocks, data):
    num_sets = data.draw(st.integers(1, num_blocks))
    blocks = np.arange(num_blocks) * 3
    sets = list(itertools.islice(block_sets(blocks, num_sets, [7, 0, 1]), 2 * num_sets))
    for sweep in (sets[:num_sets], sets[num_sets:]):
        assert sorted(np.concatenate(sweep).tolist()) == blocks.tolist()
        sizes = [len(part) for part in sweep]
        assert max(sizes) - min(sizes) <= 1
    assert all((np.diff(part) > 0).all() for part in sets)


def test_any_two_blocks_meet_sooner_or_later():
    sets = itertools.islice(block_sets(np.arange(12), 4, [0, 0, 0]), 4 * 60)
    met = {pair for part in sets for pair in itertools.combinations(part.tolist(), 2)}
    assert len(met) == 12 * 11 / 2


def test_the_order_of_sets_is_seeded():
    def first(stream):
        return [part.tolist() for part in itertools.islice(block_sets(np.arange(30), 3, stream), 6)]

    assert first([1, 0, 0]) == first([1, 0, 0])
    assert first([1, 0, 0]) != first([1, 0, 1])


def test_the_next_set_is_read_while_this_one_is_used():
    reading, may_finish = threading.Event(), threading.Event()
    loaded = []

    def load(blocks):
        loaded.append(blocks)
        if len(loaded) == 2:
            reading.set()
            assert may_finish.wait(20)
        return blocks

    sets = ResidentSets(np.arange(4), 2, load, [0, 0, 0])
    first, waited_s = sets.take()
    assert waited_s == 0 and reading.wait(20)  # the second is read in advance
    may_finish.set()
    second, _ = sets.take()
    assert sorted([*first, *second]) == [0, 1, 2, 3]
    sets.close()


def test_what_goes_wrong_while_reading_ahead_is_raised_by_the_next_take():
    def load(blocks):
        if 0 not in blocks:
            raise UserError("a chunk is damaged")
        return blocks

    sets = ResidentSets(np.arange(2), 2, load, [0, 0, 0])
    with pytest.raises(UserError, match="damaged"):
        sets.take()
        sets.take()
    sets.close()


def test_with_everything_resident_training_is_the_same_to_the_bit(community_store):
    _, plain_averaging = trained(community_store)
    bounded, averaging = trained(community_store, memory_gb=4)
    assert bounded.sets.num_sets == 1
    assert averaging.theta_P.equal(plain_averaging.theta_P)


def sets_of(monkeypatch, number):
    monkeypatch.setattr("hvdtma.training.trainer.resident_sets", lambda *_: number)


@pytest.mark.parametrize("task", ["links", "nodes"])
def test_training_goes_through_set_after_set(task, community_store, monkeypatch):
    sets_of(monkeypatch, 3)
    trainer, averaging = trained(
        community_store, memory_gb=4, task={"name": task, "batch_size": 64}
    )
    assert averaging.steps_done == 60
    assert trainer.sets.taken > 3  # more than a sweep
    _, same = trained(community_store, memory_gb=4, task={"name": task, "batch_size": 64})
    assert same.theta_P.equal(averaging.theta_P)


def test_each_link_of_a_set_is_trained_on_as_often_as_resident_epochs_says(
    community_store, monkeypatch
):
    sets_of(monkeypatch, 4)
    task, sampler = {"batch_size": 50}, {"name": "neighbour"}
    config = config_of(community_store, resident_epochs=2, task=task, sampler=sampler)
    trainer = make_trainer(config, community_store, SingleProcess(), torch.device("cpu"))
    links = trainer.task.num_examples(trainer.shard)
    used = 0
    while (step := trainer.take_step()) is not None:
        used += step[1]
    assert used == 2 * links
    trainer.take_set()
    assert trainer.sets.taken == 2
    trainer.sets.close()


def test_every_link_is_trained_on_when_blocks_are_reassigned(community_store):
    """Two trainers, an assignment per round: each edge is in some shard sooner or later."""
    config = config_of(community_store, reassign_rounds=1)
    whole = make_trainer(config, community_store, SingleProcess(), torch.device("cpu"))
    ends = whole.shard.nodes[whole.shard.csc.destinations()]
    expected = set(
        zip(whole.shard.nodes[whole.shard.csc.indices].tolist(), ends.tolist(), strict=True)
    )
    whole.num_shards, seen = 2, set()
    for number in range(24):
        for whole.shard_index in range(2):
            whole.take_assignment(number)
            nodes, csc = whole.shard.nodes, whole.shard.csc
            assert len(nodes) < community_store.num_nodes
            src, dst = nodes[csc.indices], nodes[csc.destinations()]
            seen |= set(zip(src.tolist(), dst.tolist(), strict=True))
    assert seen == expected


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=30), st.floats(0.05, 1.1))
def test_two_sets_fit_or_one_that_is_all(community_store, block_nodes, share_of_shard):
    """Whatever blocks are in the sets: blocks are of unequal sizes, and some sets have one more."""
    nodes_B, footprint = np.array(block_nodes), ShardFootprint(node_bytes=200, edge_bytes=6.0)

    def bytes_of(num_nodes):
        return footprint.num_bytes(num_nodes, expected_edges(community_store, num_nodes))

    available = int(share_of_shard * bytes_of(nodes_B.sum()))
    num_sets = fitting_sets(community_store, nodes_B, footprint, available)
    if num_sets is None:
        assert available < 2 * bytes_of(nodes_B.max())
    elif num_sets == 1:
        assert bytes_of(nodes_B.sum()) <= available
    else:
        sets = itertools.islice(block_sets(np.arange(len(nodes_B)), num_sets, [0]), 6 * num_sets)
        for trained_on, read in itertools.pairwise(nodes_B[chosen].sum() for chosen in sets):
            assert bytes_of(trained_on) + bytes_of(read) <= available


def test_a_memory_limit_below_the_smallest_names_it(community_store):
    with pytest.raises(UserError, match=r"too little for .*; give memory_gb=\d+\.\d+ or more"):
        trained(community_store, memory_gb=0.1)


def test_links_are_trained_on_without_their_nodes_labels(community_store, tmp_path):
    path = tmp_path / "lost.zarr"
    shutil.copytree(community_store.path, path)
    shutil.rmtree(path / "label" / "c")
    store = open_store(path)
    trainer, averaging = trained(store)
    assert trainer.shard.label is None
    assert averaging.steps_done == 60
    with pytest.raises(UserError, match=r"'label'.* cannot be read"):
        trained(store, task={"name": "nodes"})
