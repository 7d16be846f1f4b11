"""Each resident set is used as often as the config says, whatever the sampler."""

import pytest
import torch

from hvdtma.comm import SingleProcess
from hvdtma.core.train_config import parse_config
from hvdtma.training import trainer as trainer_module
from hvdtma.training.loop import take_next_set
from hvdtma.training.precision import training_precision
from hvdtma.training.set_up import make_trainer

CPU = torch.device("cpu")


def config_for(store, **changes):
    values = {
        "store": str(store.path),
        "run": "unused",
        "rounds": 1,
        "resident_epochs": 3,
        "model": {"hidden": 8, "fanouts": [4, 4]},
        "task": {"batch_size": 16},
    }
    return parse_config(values | changes)


CLUSTERS = {"name": "cluster", "options": {"nodes": 60, "cluster_nodes": 10, "clusters": "order"}}


@pytest.mark.parametrize("sampler", [CLUSTERS, {"name": "neighbour"}], ids=["cluster", "neighbour"])
def test_every_link_of_a_set_is_used_resident_epochs_times_on_average(
    sampler, community_store, monkeypatch
):
    monkeypatch.setattr(trainer_module, "resident_sets", lambda *_: 4)
    trainer = make_trainer(
        config_for(community_store, sampler=sampler), community_store, SingleProcess(), CPU
    )
    for _ in range(5):
        links, used = trainer.task.num_examples(trainer.shard), 0
        assert links > 20
        while (step := trainer.take_step()) is not None:
            used += step[1]
        assert 3 * links <= used < 3 * links + 16
        take_next_set(trainer)


@pytest.mark.parametrize("sampler", [CLUSTERS, {"name": "neighbour"}], ids=["cluster", "neighbour"])
def test_a_set_that_is_resumed_in_the_middle_ends_at_the_same_step(
    sampler, community_store, monkeypatch
):
    monkeypatch.setattr(trainer_module, "resident_sets", lambda *_: 4)
    config = config_for(community_store, sampler=sampler)
    whole = make_trainer(config, community_store, SingleProcess(), CPU)
    for _ in range(7):
        whole.take_step()
    resumed = make_trainer(config, community_store, SingleProcess(), CPU)
    resumed.take_assignment(0, shard_progress=whole.shard_progress)
    sizes = []
    for trainer in (whole, resumed):
        sizes.append([])
        while (step := trainer.take_step()) is not None:
            sizes[-1].append(step[1])
    assert sizes[0] == sizes[1]


def test_products_are_rounded_for_the_time_of_training_only(community_store):
    config = config_for(community_store, precision="bfloat16")
    torch.set_float32_matmul_precision("high")
    try:
        with training_precision(config, CPU), training_precision(config, CPU):
            assert torch.get_float32_matmul_precision() == "medium"
            make_trainer(config, community_store, SingleProcess(), CPU).take_step()
        assert torch.get_float32_matmul_precision() == "high"
        with pytest.raises(KeyboardInterrupt), training_precision(config, CPU):
            raise KeyboardInterrupt
        assert torch.get_float32_matmul_precision() == "high"
        with training_precision(config_for(community_store), CPU):
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
