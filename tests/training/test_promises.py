"""What must always hold of training: docs/method.md, 'promises'."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from launchers import TRAIN, launched
from plain_training import plain_model

from hvdtma.aggregate.optimizers import make_optimizer
from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.train_config import parse_config
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import read_lines
from hvdtma.training.callback import Callback
from hvdtma.training.loop import train_rounds
from hvdtma.training.session import train
from hvdtma.training.set_up import make_averaging, make_trainer
from hvdtma.training.trainer import Trainer

CPU = torch.device("cpu")


def config_for(store, run, **changes):
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": 4,
        "rounds": 3,
        "threads": 1,
        "model": {"hidden": 16, "fanouts": [4, 4], "dropout": 0.1},
        "task": {"batch_size": 64},
        "evaluate": {"mode": "final"},
    }
    return parse_config(values | changes)


def losses(run: Path) -> list[list[float]]:
    rounds = [event for event in read_lines(run / "metrics.jsonl") if event["kind"] == "round"]
    return [[row["loss"] for row in event["trainers"]] for event in rounds]


@pytest.mark.parametrize("first_hop", [True, False])
def test_one_trainer_is_plain_pytorch_bit_for_bit(community_store, tmp_path, first_hop):
    config = config_for(community_store, tmp_path, first_hop=first_hop, reassign_rounds=1)
    trainer = make_trainer(config, open_store(config.store), SingleProcess(), CPU)
    train_rounds(trainer, make_averaging(trainer, SingleProcess()), Callback())

    model = plain_model(config, trainer.shard)
    for ours, plain in zip(trainer.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, plain)


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(community_store, tmp_path):
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = config_for(community_store, tmp_path / name, seed=seed, threads=2)
        InProcessGroup(2).run(lambda comm, config=config: train(config, comm))
        runs[name] = losses(config.run)
    assert runs["a"] == runs["b"]
    assert runs["a"] != runs["c"]


HOROVOD = """
import horovod.torch as trainers
trainers.init()
"""
TORCH = """
import atexit
import torch.distributed as trainers
trainers.init_process_group("gloo")
trainers.rank, trainers.size = trainers.get_rank, trainers.get_world_size
atexit.register(trainers.destroy_process_group)
"""


@pytest.mark.parametrize(("launcher", "begin"), [("horovodrun", HOROVOD), ("torchrun", TORCH)])
def test_a_loop_of_ones_own_averages_to_the_weighted_mean(tmp_path, launcher, begin):
    script = tmp_path / "mean.py"
    script.write_text(
        f"{begin}"
        """
import torch
import hvdtma

rank, size = trainers.rank(), trainers.size()
model = torch.nn.Linear(40, 30)
averaging = hvdtma.TimedAveraging(model, interval_steps=1, rounds=1, weight=1.0 + 2 * rank)
assert averaging.running
start = [p.detach().clone() for p in model.parameters()]
noise = torch.Generator()
moves = []
for other in range(size):
    noise.manual_seed(other)
    moves.append([torch.randn(p.shape, generator=noise) for p in start])
with torch.no_grad():
    for p, move in zip(model.parameters(), moves[rank]):
        p += move
averaging.step()
weights = [1.0 + 2 * other for other in range(size)]
for index, (p, p0) in enumerate(zip(model.parameters(), start)):
    mean = sum(w * (p0 + m[index]).double() for w, m in zip(weights, moves)) / sum(weights)
    assert torch.allclose(p.double(), mean, atol=1e-6), (p.double() - mean).abs().max()
print("mean is right on", rank)
"""
    )
    done = launched(launcher, 3, sys.executable, script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("mean is right on") == 3


def test_a_size_that_was_not_asked_for_is_refused(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run", trainers=3)
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    done = launched("horovodrun", 2, *TRAIN, file)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert said.count("asks for 3 trainers, the launcher started 2") == 1
    ours = [line for line in said.splitlines() if line.startswith("[")]
    assert not any("Traceback" in line for line in ours)  # horovodrun's own follows
    assert not config.run.exists()


def test_a_worker_that_lost_its_rendezvous_is_refused(community_store, tmp_path):
    config = config_for(community_store, tmp_path / "run")
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    done = subprocess.run(
        [sys.executable, "-m", "hvdtma", "train", str(file)],
        env=os.environ | {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "asked for 2 trainers, Horovod reports 1" in done.stderr


def test_reassignment_gives_other_blocks_and_sooner_or_later_every_edge(community_store, tmp_path):
    config = config_for(community_store, tmp_path, reassign_rounds=1, rounds=12, interval_steps=1)
    seen = []

    class Keep(Callback):
        def on_assignment(self, averaging, number, trainers):
            seen.append((number, trainers))

    def trainer_edges(comm):
        trainer = make_trainer(config, open_store(config.store), comm, CPU)
        edges = set()
        original = Trainer.take_assignment

        def take(self, number, **progress):
            original(self, number, **progress)
            src = self.shard.nodes[self.shard.csc.indices]
            dst = self.shard.nodes[self.shard.csc.destinations()]
            edges.update(zip(src.tolist(), dst.tolist(), strict=True))

        trainer.take_assignment = take.__get__(trainer)
        trainer.take_assignment(0)
        train_rounds(trainer, make_averaging(trainer, comm), Keep())
        return edges

    edges = set().union(*InProcessGroup(2).run(trainer_edges))
    assert len(edges) > 0.99 * community_store.num_edges
    assert [number for number, _ in seen[::2]] == list(range(1, 12))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_round(
    community_store, tmp_path
):
    config = config_for(
        community_store,
        tmp_path / "run",
        optimizer={"name": "adamw", "lr": 1e9, "weight_decay": 1e9, "clip_norm": 0},
        model={"norm": "none"},
    )
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    done = subprocess.run(
        [sys.executable, "-m", "hvdtma", "train", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "was not finite at its step" in done.stderr
    assert "the last good round is 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert (config.run / "report.html").exists()
    assert not (config.run / "summary.json").exists()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "novograd"])
def test_every_optimizer_lowers_a_quadratic(name):
    config = parse_config(
        {"store": "s", "run": "r", "rounds": 1, "optimizer": {"name": name, "lr": 0.05}}
    )
    model = torch.nn.Linear(5, 1)
    optimizer = make_optimizer(config.optimizer, model)
    x, first = torch.randn(50, 5), None
    for _ in range(60):
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * first


def test_novograd_is_the_papers_algorithm():
    config = parse_config(
        {
            "store": "s",
            "run": "r",
            "rounds": 1,
            "optimizer": {"name": "novograd", "lr": 0.1, "weight_decay": 0.01},
        }
    )
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    holder = torch.nn.ParameterList([weight])
    optimizer = make_optimizer(config.optimizer, holder)
    w, v, m = weight.detach().clone(), None, torch.zeros(2)
    for gradient in (torch.tensor([3.0, 4.0]), torch.tensor([-1.0, 0.5])):
        weight.grad = gradient.clone()
        optimizer.step()
        square = gradient.square().sum()
        v = square if v is None else 0.98 * v + 0.02 * square
        m = 0.95 * m + (gradient / (v.sqrt() + 1e-8) + 0.01 * w)
        w = w - 0.1 * m
        assert torch.allclose(weight.detach(), w, atol=1e-6)
