"""The average weighs a trainer by all it was assigned, however much of it memory holds at once."""

import numpy as np
import pytest
import torch

from hvdtma.comm import InProcessGroup
from hvdtma.core.train_config import parse_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.runs import event_text
from hvdtma.sampling.budget import ShardFootprint, largest_set, resident_bytes
from hvdtma.sampling.shard import load_shard
from hvdtma.training.budget import reserved_bytes
from hvdtma.training.callback import Callback
from hvdtma.training.loop import announce_assignment, train_rounds
from hvdtma.training.set_up import make_averaging, make_trainer

SETS = [1, 2, 4]  # of each trainer
TASKS = ["links", "nodes"]


@pytest.fixture(scope="module", params=TASKS)
def store(request, community_raw, tmp_path_factory):
    options = BuildOptions(negatives=20, block_nodes=10, hold_out=request.param)
    return build(tmp_path_factory.mktemp("weights") / "x.zarr", community_raw, options)


def config_of(store, **changes):
    values = {
        "store": str(store.path),
        "run": "unused",
        "interval_steps": 60,
        "rounds": 2,
        "model": {"hidden": 8},
        "task": {"name": "nodes" if store.labelled_nodes("train") is not None else "links"},
        "evaluate": {"mode": "final"},
    }
    values["task"]["batch_size"] = 16
    return parse_config(values | changes)


def memory_for(config, store, blocks, sets):
    """The memory_gb that cuts these blocks into so many sets."""
    block_nodes = np.diff(store.block_offsets)[blocks]
    footprint = ShardFootprint.of(store, first_hop=True, labels=config.task.name == "nodes")
    shard = resident_bytes(store, largest_set(block_nodes, sets), sets, footprint)
    return (reserved_bytes(config, store, int(block_nodes.sum())) + shard + 16) / 2**30


class Notebook(Callback):
    """Keeps assignments, outcomes of rounds, and each round's parameters before the average."""

    def __init__(self):
        self.assignments, self.before, self.outcomes = [], [], []

    def on_assignment(self, averaging, number, trainers):
        self.assignments.append(trainers)

    def on_step(self, averaging):
        self.last = averaging.flat.read().double().clone()

    def on_round(self, outcome):
        self.before.append(self.last)
        self.outcomes.append(outcome)
        return False


def trained(store, **changes):
    """Trainers with memory for different numbers of sets: (notebook, trainer, theta) of each."""
    blocks_of = assign_blocks(store, len(SETS))

    def run(comm):
        config = config_of(store, **changes)
        limit = memory_for(config, store, blocks_of[comm.rank], SETS[comm.rank])
        config = config.model_copy(update={"memory_gb": limit})
        trainer = make_trainer(config, store, comm, torch.device("cpu"))
        averaging, notes = make_averaging(trainer, comm), Notebook()
        announce_assignment(trainer, averaging, notes)
        train_rounds(trainer, averaging, notes)
        return notes, trainer, averaging.theta_P.double()

    return InProcessGroup(len(SETS)).run(run)


def examples_of(store):
    """The number of examples in each trainer's whole shard."""
    name = config_of(store).task.name
    shards = [
        load_shard(store, blocks, labels=name == "nodes")
        for blocks in assign_blocks(store, len(SETS))
    ]
    return [s.num_train_nodes if name == "nodes" else s.num_edges // 2 for s in shards]


def test_trainers_with_memory_for_different_numbers_of_sets_weigh_by_their_whole_shards(store):
    found = trained(store)
    examples = examples_of(store)
    expected = [number / sum(examples) for number in examples]
    for notes, trainer, theta in found:
        assert trainer.sets.taken > trainer.sets.num_sets or trainer.sets.num_sets == 1
        for outcome in notes.outcomes:  # each is longer than a sweep
            assert outcome.weights == pytest.approx(expected, rel=1e-12)
        last = [other.before[-1] for other, _, _ in found]
        mean = sum(weight * before for weight, before in zip(expected, last, strict=True))
        assert torch.allclose(theta, mean, atol=1e-6)
    assert [trainer.sets.num_sets for _, trainer, _ in found] == SETS


def test_before_a_sweep_is_over_the_weight_is_near_what_it_will_be(store):
    found = trained(store, interval_steps=1, rounds=1)
    examples = np.array(examples_of(store))
    assert [trainer.sets.taken for _, trainer, _ in found] == [1, 1, 1]
    for notes, _, _ in found:
        assert notes.outcomes[0].weights == pytest.approx(examples / examples.sum(), rel=0.3)


def test_an_assignment_reports_whole_shards_and_resident_edges(store):
    (notes, *_), *_ = trained(store, rounds=1)
    (trainers,) = notes.assignments
    shards = [load_shard(store, blocks) for blocks in assign_blocks(store, len(SETS))]
    assert [row["sets"] for row in trainers] == SETS
    assert [row["nodes"] for row in trainers] == [shard.num_nodes for shard in shards]
    edges = [row["edges"] for row in trainers]
    assert edges == pytest.approx([shard.num_edges for shard in shards], rel=0.3)
    assert edges[0] == trainers[0]["resident_edges"] == shards[0].num_edges
    assert trainers[2]["resident_edges"] < edges[2] / 8
    said = event_text.assignment({"assignment": 0, "edges_kept": 0.3, "trainers": trainers})
    share = sum(row["resident_edges"] for row in trainers) / sum(edges)
    assert f"30.0% of edges kept, {0.3 * share:.1%} at once in resident sets of 1/4" in said


def test_with_uniform_weights_all_weigh_alike_whatever_their_sets(store):
    (notes, *_), *_ = trained(store, rounds=1, aggregate={"weights": "uniform"})
    assert notes.outcomes[0].weights == pytest.approx([1 / 3] * 3)
