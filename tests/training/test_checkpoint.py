"""A run that is cut short goes on as if it had not been."""

import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from processes import command
from safetensors.torch import load_file

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.config import dump_config
from hvdtma.core.errors import INTERRUPTED, Interrupted, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.score import Scorer
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import StartMode
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.checkpoint import folders, open_checkpoint
from hvdtma.training.monitor import RunMonitor
from hvdtma.training.session import train
from hvdtma.training.start import start_run

pytestmark = pytest.mark.usefixtures("objects_as_bytes")

STEPS, ROUNDS = 6, 5


@pytest.fixture
def config(community_store, tmp_path):
    return config_of(community_store, tmp_path / "run")


def config_of(store, run, **changes):
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": STEPS,
        "rounds": ROUNDS,
        "reassign_rounds": 2,
        "model": {"hidden": 8, "dropout": 0.3},
        "task": {"batch_size": 32},
        "aggregate": {"outer": "nesterov"},
        "evaluate": {"mode": "inline"},
        "checkpoint": {"every": 0},
    }
    return parse_config(values | changes)


def run_of(config, trainers=2, *, resume=False, shutdown=None):
    """Train; the summary, or None if it was interrupted."""
    how = {"mode": StartMode.RESUME if resume else StartMode.NEW, "shutdown": shutdown}
    try:
        return InProcessGroup(trainers).run(lambda comm: train(config, comm, **how))[0]
    except Interrupted:
        return None


def interrupted_at(monkeypatch, step, *, rank=1):
    """A shutdown signal after so many steps of a trainer."""
    shutdown, original = ShutdownSignal(), RunMonitor.on_step
    taken = []

    def count(self, averaging):
        original(self, averaging)
        if averaging.comm.rank == rank:
            taken.append(averaging)
            if len(taken) == step:
                shutdown._handle(0, None)

    monkeypatch.setattr(RunMonitor, "on_step", count)
    return shutdown


def last_round(config):
    return load_file(RunFolder(config.run).round_files()[-1])


def losses(config):
    events = RunFolder(config.run).events()
    return {
        event["round"]: [trainer["loss"] for trainer in event["trainers"]]
        for event in events
        if event["kind"] == "round"
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.array_equal(value.numpy(), other[name].numpy()), name


@pytest.mark.parametrize("step", [1, STEPS, 2 * STEPS, 3 * STEPS + 2])
def test_a_run_that_is_interrupted_goes_on_to_the_same_parameters(
    config, community_store, tmp_path, monkeypatch, step
):
    """In the middle of a round, at its end, and where blocks are reassigned."""
    whole = config_of(community_store, tmp_path / "whole")
    run_of(whole)
    with monkeypatch.context() as patched:
        assert run_of(config, shutdown=interrupted_at(patched, step)) is None
    assert len(losses(config)) < ROUNDS
    summary = run_of(config, resume=True)
    assert summary["rounds"] == ROUNDS
    assert_same(last_round(config), last_round(whole))
    assert losses(config) == losses(whole)


def test_a_run_of_resident_sets_goes_on_with_the_same_set(
    config, community_store, tmp_path, monkeypatch
):
    monkeypatch.setattr("hvdtma.training.trainer.resident_sets", lambda *_: 3)
    whole = config_of(community_store, tmp_path / "whole")
    run_of(whole)
    with monkeypatch.context() as patched:
        run_of(config, shutdown=interrupted_at(patched, 2 * STEPS + 4))
    run_of(config, resume=True)
    assert_same(last_round(config), last_round(whole))
    assert losses(config) == losses(whole)


def test_a_checkpoint_is_written_every_so_many_rounds_and_the_last_few_are_kept(config):
    config = config.model_copy(
        update={"checkpoint": config.checkpoint.model_copy(update={"every": 1, "keep": 2})}
    )
    run_of(config)
    kept = [path.name for path in folders(RunFolder(config.run))]
    assert kept == ["0004", "0005"]
    assert not list((config.run / "checkpoints").glob(".*"))


def test_a_run_that_is_over_can_be_made_longer(config, community_store, tmp_path):
    config = config_of(community_store, tmp_path / "run", checkpoint={"every": 2})
    run_of(config)
    longer = config_of(community_store, tmp_path / "run", rounds=ROUNDS + 2)
    summary = run_of(longer, resume=True)
    assert sorted(losses(config)) == list(range(1, ROUNDS + 3))
    assert summary["rounds"] == ROUNDS + 2
    assert summary["valid"]


@pytest.mark.parametrize("trainers", [3, 5])
def test_a_run_goes_on_with_another_number_of_trainers(
    config, community_store, monkeypatch, trainers
):
    """From the average of what the interrupted round came to."""
    with monkeypatch.context() as patched:
        run_of(config, trainers=4, shutdown=interrupted_at(patched, 3 * STEPS + 3))
    summary = run_of(config, trainers=trainers, resume=True)
    assert summary["trainers"] == trainers
    assert summary["rounds"] == ROUNDS
    scores = {
        event["round"]: event["metrics"]["mrr"]
        for event in RunFolder(config.run).events()
        if event["kind"] == "score" and event["part"] == "valid"
    }
    assert scores[4] > 0.9 * scores[3]


def test_an_unfinished_round_is_aggregated_by_the_runs_own_aggregator(config, monkeypatch):
    """With Nesterov as the outer optimizer, written out from the files of the checkpoint."""
    with monkeypatch.context() as patched:
        run_of(config, trainers=4, shutdown=interrupted_at(patched, 3 * STEPS + 3))
    (folder,) = folders(RunFolder(config.run))
    shared = load_file(folder / "shared.safetensors")
    theta, velocity = shared["theta"].double(), shared["aggregator.momentum_buffer"].double()
    saved = [open_checkpoint(folder).rank(rank) for rank in range(4)]
    weights = torch.tensor([rank.facts["weight"] for rank in saved], dtype=torch.float64)
    assert all(rank.averaging.steps for rank in saved)
    updates = torch.stack([rank.tensors["local"].double() - theta for rank in saved])
    gradient = -(weights[:, None] * updates).sum(0) / weights.sum()
    velocity = 0.9 * velocity + gradient
    expected = theta - 0.7 * (gradient + 0.9 * velocity)

    def resumed(comm):
        context = start_run(config, comm, StartMode.RESUME)
        averaging = context.averaging
        context.run.unlock()
        return averaging.theta_P, averaging.aggregator.state_dict()["momentum_buffer"]

    for found, found_velocity in InProcessGroup(3).run(resumed):
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(found_velocity.double(), velocity, rtol=0, atol=1e-6)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(config, capsys):
    config = config.model_copy(
        update={"checkpoint": config.checkpoint.model_copy(update={"every": 2, "keep": 3})}
    )
    run_of(config)
    damaged = folders(RunFolder(config.run))[-1] / "trainer_001.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    run_of(config, resume=True)
    said = capsys.readouterr()
    assert f"{damaged} is damaged" in said.out + said.err
    assert sorted(losses(config)) == list(range(1, ROUNDS + 1))


def test_a_checkpoint_of_another_config_is_refused_with_the_differences(
    config, community_store, tmp_path
):
    config = config_of(community_store, tmp_path / "run", checkpoint={"every": 2})
    run_of(config)
    other = config_of(
        community_store, tmp_path / "run", model={"hidden": 16, "dropout": 0.3}, seed=7
    )
    with pytest.raises(UserError, match=r"seed was 0 and is 7; model\.hidden was 8 and is 16"):
        run_of(other, resume=True)


def test_a_run_without_a_checkpoint_says_so(config, tmp_path):
    with pytest.raises(UserError, match="no run at"):
        run_of(config, resume=True)
    run_of(config)
    shutil.rmtree(RunFolder(config.run).checkpoints)
    with pytest.raises(UserError, match="has no checkpoint to resume from"):
        run_of(config, resume=True)


def test_sigterm_saves_and_ends_with_its_own_status_and_resume_goes_on(
    config, tmp_path, community_store
):
    config = config_of(community_store, tmp_path / "run", rounds=100_000)
    path = tmp_path / "c.yaml"
    dump_config(config, path)
    process = subprocess.Popen(command("train", path), stderr=subprocess.PIPE, text=True)
    while not RunFolder(config.run).round_files():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == INTERRUPTED
    assert f"hvdtma train --resume {config.run}" in said
    done = max(losses(config))
    resumed = subprocess.run(
        command("train", "--resume", config.run, f"rounds={done + 3}"), check=True
    )
    assert resumed.returncode == 0
    assert max(losses(config)) == done + 3


def test_a_resumed_run_that_gets_worse_still_has_its_best_round(config, community_store, tmp_path):
    """A checkpoint at the end is written before the last rounds are scored."""
    final = {"evaluate": {"mode": "final"}, "checkpoint": {"every": 4}}
    run_of(config_of(community_store, tmp_path / "run", **final))
    longer = config_of(community_store, tmp_path / "run", **final, rounds=ROUNDS + 1)
    summary = run_of(longer, resume=True)
    assert summary["best_round"] in (ROUNDS, ROUNDS + 1)
    assert RunFolder(longer.run).best.exists()


def test_scoring_is_cut_short_too_and_is_all_that_is_left_to_do(config, monkeypatch):
    class CutShort(Scorer):
        def __call__(self, model, part):
            if part == "test":
                signal.raise_signal(signal.SIGUSR2)  # heard before the next line
            return super().__call__(model, part)

    with monkeypatch.context() as patched, ShutdownSignal() as shutdown:
        patched.setattr("hvdtma.training.session.Scorer", CutShort)
        with pytest.raises(Interrupted, match="interrupted while scoring"):
            train(config, SingleProcess(), shutdown=shutdown)
    before = last_round(config)
    summary = train(config, SingleProcess(), mode=StartMode.RESUME)
    assert_same(last_round(config), before)
    assert summary["rounds"] == ROUNDS
    assert summary["test"]


def test_a_run_is_trained_by_one_process_at_a_time(config):
    other = RunFolder(config.run)
    other.lock()
    with pytest.raises(UserError, match="is being trained by another process"):
        run_of(config)
    other.unlock()
    run_of(config)
    other.lock()
    with pytest.raises(UserError, match="is being trained by another process"):
        run_of(config, resume=True)
    other.unlock()


def test_a_requeued_job_begins_goes_on_or_finds_nothing_to_do(config, monkeypatch):
    def again(**how):
        return train(config, SingleProcess(), mode=StartMode.AUTO, **how)

    RunFolder.create(config, open_store(config.store))  # a run that came to nothing
    other = config.model_copy(update={"seed": 7})
    with pytest.raises(UserError, match="is of another config: seed was 0 and is 7"):
        train(other, SingleProcess(), mode=StartMode.AUTO)
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        again(shutdown=interrupted_at(patched, STEPS + 2, rank=0))
    assert list(losses(config)) == [1]
    assert again()["rounds"] == ROUNDS
    assert again() is None
    with pytest.raises(UserError, match="is of another config: seed was 0 and is 7"):
        train(other, SingleProcess(), mode=StartMode.AUTO)
    longer = config.model_copy(update={"rounds": ROUNDS + 1})
    assert train(longer, SingleProcess(), mode=StartMode.AUTO)["rounds"] == ROUNDS + 1


def test_a_best_round_that_is_not_whole_is_taken_from_the_checkpoint(config):
    run_of(config.model_copy(update={"rounds": ROUNDS - 1}))
    best = RunFolder(config.run).best
    best.write_bytes(best.read_bytes()[:100])
    assert run_of(config, resume=True)["rounds"] == ROUNDS
