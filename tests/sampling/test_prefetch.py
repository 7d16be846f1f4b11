"""Batches are pinned by the threads that make them, and copied while the step before runs.

There need be no GPU: `Tensor.to` and `pin_memory` are recorded, and the device is `meta`.
"""

import threading
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from itertools import islice

import numpy as np
import pytest
import torch

from hvdtma.comm import SingleProcess
from hvdtma.core.train_config import parse_config
from hvdtma.sampling.block import Block
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.sampling.neighbourhood import Neighbourhood
from hvdtma.sampling.prefetch import moved_ahead
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import make_model, make_task
from hvdtma.tasks.link_batch import LinkBatch, SharedSet
from hvdtma.tasks.nodes import NodeBatch
from hvdtma.training import trainer as trainer_module
from hvdtma.training.set_up import new_trainer
from hvdtma.training.trainer import Trainer

META = torch.device("meta")


def config_for(store, **values):
    return parse_config({"store": str(store.path), "run": "unused", "rounds": 1} | values)


def tensors_of(value, name=""):
    """Every tensor inside a batch, by the path of its attribute."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    if isinstance(value, Block):
        parts = {key: getattr(value, key) for key in ("indptr", "source", "edge_weight")}
    elif is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, FirstHop):
        parts = value._asdict()
    elif isinstance(value, list):
        parts = dict(enumerate(value))
    else:
        return {}
    found = {}
    for key, part in parts.items():
        found |= tensors_of(part, f"{name}.{key}")
    return found


def neighbourhood():
    """Two blocks with edge weights, and a first hop with weights."""
    blocks = [
        Block(torch.tensor([0, 2, 3]), torch.tensor([1, 2, 0]), 3, torch.rand(3)),
        Block(torch.tensor([0, 1]), torch.tensor([1], dtype=torch.int32), 2, torch.rand(1)),
    ]
    hop = FirstHop(torch.rand(3, 4), torch.ones(3), torch.ones(3, dtype=torch.float64))
    return Neighbourhood(blocks, torch.rand(3, 4), hop, torch.arange(3))


def link_batch():
    ends, shared = torch.zeros(1, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)
    sets = [SharedSet(ends, ends, shared), SharedSet(ends, ends, shared, of_sources=True)]
    turned = torch.zeros(1, dtype=torch.bool)
    parts = ends, ends, ends, ends, ends, turned, sets, torch.rand(1)
    return LinkBatch(neighbourhood(), *parts)


@pytest.mark.parametrize(
    "batch", [link_batch(), NodeBatch(neighbourhood(), torch.arange(1))], ids=["links", "nodes"]
)
def test_no_tensor_of_a_batch_is_waited_for_when_it_is_copied(batch, monkeypatch):
    calls, real = [], torch.Tensor.to

    def recorded(tensor, *args, **options):
        calls.append((args, options))
        return real(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", recorded)
    moved = tensors_of(batch.to(META))
    monkeypatch.undo()
    staying = moved.pop(".neighbourhood.nodes")
    assert staying.device.type == "cpu"
    assert {tensor.device for tensor in moved.values()} == {META}
    assert moved.keys() == tensors_of(batch).keys() - {".neighbourhood.nodes"}
    assert calls == [((META,), {"non_blocking": True})] * len(moved)


@pytest.fixture
def pinned(monkeypatch):
    """As with a GPU: {address of a pinned tensor: thread that pinned it}."""
    found = {}

    def pin_memory(tensor):
        copy = tensor.clone()
        found[copy.data_ptr()] = threading.get_ident()
        return copy

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return found


def batches_of(store, name, **values):
    config = config_for(store, task={"name": name, "batch_size": 64}, **values)
    task = make_task(config, store)
    blocks = np.arange(store.num_blocks)
    shard = load_shard(store, blocks, first_hop=True, labels=task.needs_labels)
    return list(islice(task.batches(shard, stream=[0]), 3))


@pytest.mark.parametrize("name", ["links", "nodes"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_threads_that_make_batches_pin_every_tensor(community_store, pinned, name, workers):
    found = batches_of(community_store, name, sampler={"workers": workers})
    threads = set()
    for batch in found:
        tensors = tensors_of(batch)
        tensors.pop(".neighbourhood.nodes")
        threads |= {pinned[each.data_ptr()] for each in tensors.values() if each.numel()}
    assert (threading.get_ident() in threads) == (workers == 0)
    assert len(threads) <= max(workers, 1)


@pytest.mark.parametrize("name", ["links", "nodes"])
def test_nothing_is_pinned_for_a_processor_and_batches_are_the_same(community_store, pinned, name):
    on_gpu = batches_of(community_store, name)
    pinned.clear()
    on_cpu = batches_of(community_store, name, device="cpu")
    assert not pinned
    for here, there in zip(on_cpu, on_gpu, strict=True):
        torch.testing.assert_close(tensors_of(here), tensors_of(there), rtol=0, atol=0)


def test_a_trainer_has_one_stream_for_all_assignments(community_store, monkeypatch):
    streams, passed = [], []

    def stream(device):
        streams.append(device)
        return f"stream {len(streams)}"

    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(
        trainer_module, "moved_ahead", lambda *given: passed.append(given[1:]) or iter(())
    )
    config, gpu = config_for(community_store), torch.device("cuda", 0)
    task = make_task(config, community_store)
    model = make_model(config, community_store, task)
    optimizer = torch.optim.Adam(model.parameters())
    trainer = Trainer(config, community_store, task, model, optimizer, 0, 1, gpu)
    for number in range(3):
        trainer.take_assignment(number)
    trainer.release_shard()
    assert streams == [gpu]
    assert passed == [(gpu, "stream 1")] * 3


def test_a_trainer_without_a_gpu_makes_no_stream(community_store):
    config = config_for(community_store, device="cpu")
    trainer = new_trainer(config, community_store, SingleProcess(), torch.device("cpu"))
    assert trainer.copying is None


class RecordingStream:
    """A stand-in for a CUDA stream that writes what it is told to do."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def record_event(self):
        self.log.append(f"{self.name}: mark")
        return len(self.log) - 1

    def wait_event(self, event):
        self.log.append(f"{self.name}: wait for {event}")


class NumberedBatch:
    def __init__(self, number, log):
        self.number, self.log = number, log

    def to(self, device):
        self.log.append(f"copy {self.number}")
        return self


def test_a_batch_is_copied_before_the_step_on_the_one_before_it_is_told(monkeypatch):
    log = []

    @contextmanager
    def current(stream):
        assert stream.name == "copying"
        yield

    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: RecordingStream("computing", log))
    batches = [NumberedBatch(number, log) for number in range(3)]
    copying = RecordingStream("copying", log)
    for batch in moved_ahead(batches, torch.device("cuda", 0), copying):
        log.append(f"step {batch.number}")
    steps = [log.index(f"step {number}") for number in range(3)]
    copies = [log.index(f"copy {number}") for number in range(3)]
    for number in range(3):
        waited = int(log[steps[number] - 1].removeprefix("computing: wait for "))
        assert waited == copies[number] + 1  # the event behind its copy
    assert copies[0] < copies[1] < steps[0] < copies[2] < steps[1] < steps[2]
    freed = int(log[copies[2] - 1].removeprefix("copying: wait for "))
    assert freed == steps[0] + 1  # the copy may get the memory of batch 0
