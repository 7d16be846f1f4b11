"""Node batches hold every labelled training node once an epoch, with its own label."""

import copy
from itertools import islice

import numpy as np
import pytest
import torch

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import make_model, make_task

BLOCKS = np.arange(1, 60, 3)


def config_for(store, *, first_hop=False, batch_size=16):
    return parse_config(
        {
            "store": str(store.path),
            "run": "unused",
            "rounds": 1,
            "first_hop": first_hop,
            "model": {"hidden": 8, "fanouts": [3, 3]},
            "task": {"name": "nodes", "batch_size": batch_size},
        }
    )


def seeds_of(batch):
    return batch.neighbourhood.nodes[: batch.neighbourhood.blocks[-1].num_dst]


@pytest.mark.parametrize("batch_size", [16, 10_000])
@pytest.mark.parametrize("first_hop", [False, True])
def test_every_training_node_comes_once_an_epoch_with_its_label(
    community_store, batch_size, first_hop
):
    shard = load_shard(community_store, BLOCKS, first_hop=first_hop, labels=True)
    task = make_task(
        config_for(community_store, first_hop=first_hop, batch_size=batch_size), community_store
    )
    train = community_store.labelled_nodes("train")
    mine = np.flatnonzero(np.isin(shard.nodes, train))
    assert task.num_examples(shard) == len(mine) > 100
    number = -(-len(mine) // batch_size)
    batches = list(islice(task.batches(shard, stream=[0, 1]), 2 * number))
    label = community_store.read("label")
    for epoch in (batches[:number], batches[number:]):
        nodes = torch.cat([seeds_of(batch) for batch in epoch]).numpy()
        assert sorted(nodes) == mine.tolist()
        labels = torch.cat([batch.label for batch in epoch]).numpy()
        assert (labels == label[shard.nodes[nodes]]).all()
        assert labels.min() >= 0
    first, second = (seeds_of(batches[start]) for start in (0, number))
    assert not first.equal(second)


def test_batches_are_a_function_of_their_stream(community_store):
    shard = load_shard(community_store, BLOCKS, labels=True)
    task = make_task(config_for(community_store), community_store)
    one, again, other = (next(task.batches(shard, stream=s)) for s in ([1, 2], [1, 2], [1, 3]))
    assert one.neighbourhood.x.equal(again.neighbourhood.x)
    assert one.label.equal(again.label)
    assert not seeds_of(one).equal(seeds_of(other))


@pytest.mark.parametrize("first_hop", [False, True])
def test_the_loss_is_the_mean_cross_entropy(community_store, first_hop):
    config = config_for(community_store, first_hop=first_hop)
    shard = load_shard(community_store, BLOCKS, first_hop=first_hop, labels=True)
    task = make_task(config, community_store)
    model = make_model(config, community_store, task)
    batch = next(task.batches(shard, stream=[0]))
    h = model.encoder(
        batch.neighbourhood.blocks, batch.neighbourhood.x, batch.neighbourhood.first_hop
    )
    share = torch.softmax(model.head(h), 1)
    assert share.shape == (16, 6)
    expected = -torch.log(share[torch.arange(16), batch.label]).mean()
    assert task.loss(model, batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_whole_step_moves_to_another_device(community_store):
    config, there = config_for(community_store, first_hop=True), torch.device("meta")
    task = make_task(config, community_store)
    shard = load_shard(community_store, BLOCKS, first_hop=True, labels=True)
    batch = next(task.batches(shard, stream=[0])).to(there)
    assert batch.size == 16
    assert task.loss(make_model(config, community_store, task).to(there), batch).device == there


def test_a_shard_without_training_nodes_has_no_examples(community_raw, tmp_path):
    raw = copy.deepcopy(community_raw)
    labelled = np.flatnonzero(raw.label >= 0)
    raw.node_split = {"train": labelled[:1], "valid": labelled[1:9], "test": labelled[9:]}
    store = build(tmp_path / "x.zarr", raw, BuildOptions(hold_out="nodes", block_nodes=100))
    task = make_task(config_for(store), store)
    shards = [load_shard(store, np.array([block]), labels=True) for block in range(6)]
    counts = [task.num_examples(shard) for shard in shards]
    assert sorted(counts) == [0, 0, 0, 0, 0, 1]


def test_a_store_without_labels_is_refused(typed_store):
    with pytest.raises(UserError, match="has no labels; build it with --labels"):
        make_task(config_for(typed_store), typed_store)
