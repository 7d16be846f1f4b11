"""Checkpoints on the disk are numbered, complete or not there, and opened only if undamaged."""

import json
import shutil

import pytest
import torch

from hvdtma.aggregate import Stop
from hvdtma.comm import InProcessGroup
from hvdtma.core.digests import with_digest
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder, round_of
from hvdtma.training.checkpoint import (
    VERSION,
    folders,
    is_saved,
    newest,
    open_checkpoint,
    restore_best,
)
from hvdtma.training.session import train

ROUNDS, STEPS, TRAINERS = 4, 2, 2


@pytest.fixture(scope="module")
def trained(community_store, tmp_path_factory):
    """A run of two trainers with a checkpoint after each of four rounds, of which two are kept."""
    run = tmp_path_factory.mktemp("trained") / "run"
    values = {
        "store": str(community_store.path),
        "run": str(run),
        "interval_steps": STEPS,
        "rounds": ROUNDS,
        "model": {"hidden": 4},
        "task": {"batch_size": 16},
        "optimizer": {"name": "adam"},
        "aggregate": {"outer": "nesterov"},
        "evaluate": {"mode": "inline"},
        "checkpoint": {"every": 1, "keep": 2},
    }
    config = parse_config(values)
    InProcessGroup(TRAINERS).run(lambda comm: train(config, comm))
    return RunFolder(run)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, to be changed."""
    shutil.copytree(trained.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def rewritten(path, **changes):
    """Change the manifest of a checkpoint, with a right digest."""
    facts = json.loads((path / "checkpoint.json").read_text())
    facts = {key: value for key, value in facts.items() if "digest" not in key} | changes
    (path / "checkpoint.json").write_text(json.dumps(with_digest(facts)))


def test_the_newest_are_kept_in_the_order_of_their_numbers_and_nothing_half_made(trained):
    names = [path.name for path in folders(trained)]
    assert len(names) == 2
    assert int(names[1]) == int(names[0]) + 1
    assert names == sorted(names) == sorted(path.name for path in trained.checkpoints.iterdir())
    assert [len(name) for name in names] == [4, 4]


def test_numbers_beyond_four_digits_come_last(run):
    last = folders(run)[-1]
    shutil.copytree(last, run.checkpoints / "10000")
    shutil.copytree(last, run.checkpoints / "9999")
    (run.checkpoints / ".10001.partial").mkdir()
    assert [path.name for path in folders(run)[-2:]] == ["9999", "10000"]


def test_a_checkpoint_tells_the_state_of_all_trainers(trained):
    saved = newest(trained)
    assert saved.path == folders(trained)[-1]
    assert (saved.trainers, saved.rounds_done, saved.stopped) == (TRAINERS, ROUNDS, Stop.ROUNDS)
    assert saved.last["round"] == ROUNDS
    assert saved.last["time_s"] > 0
    assert saved.config.model.hidden == 4
    state = saved.global_state()
    assert state.rounds_done == ROUNDS
    assert "momentum_buffer" in state.aggregator
    assert state.aggregator["momentum_buffer"].shape <= state.theta_P.shape
    for rank in range(TRAINERS):
        part = saved.rank(rank)
        assert torch.equal(part.averaging.local_P, state.theta_P)  # a round has just ended
        assert part.averaging.steps == 0
        assert part.facts["weight"] > 0
        torch.set_rng_state(torch.Generator().manual_seed(5).get_state())
        part.restore_random(torch.device("cpu"))
        assert torch.equal(torch.get_rng_state(), part.tensors["random.cpu"])
    assert saved.rank(0).facts["shard_index"] != saved.rank(1).facts["shard_index"]


def test_before_the_first_aggregation_the_last_one_is_round_zero(run):
    path = folders(run)[-1]
    averaging = json.loads((path / "checkpoint.json").read_text())["averaging"]
    rewritten(path, averaging=averaging | {"last": None})
    assert open_checkpoint(path).last == {"round": 0, "time_s": 0.0}


@pytest.mark.parametrize(
    "name", ["checkpoint.json", "shared", "best", "trainer_000", "trainer_001"]
)
@pytest.mark.parametrize("how", ["flipped", "shorter", "gone"])
def test_a_checkpoint_with_a_damaged_file_is_refused_and_the_one_before_is_taken(
    run, capsys, name, how
):
    before, last = folders(run)
    path = last / (name if "." in name else f"{name}.safetensors")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content if how == "flipped" else content[:-1])
    with pytest.raises(UserError):
        open_checkpoint(last)
    assert newest(run).path == before
    said = capsys.readouterr().err
    assert str(last) in said.replace("\n", "")
    assert "trying the previous one" in said


def test_another_format_and_a_run_without_a_good_checkpoint(run, capsys):
    for path in folders(run):
        rewritten(path, version=VERSION + 1)
        words = rf"has format version {VERSION + 1}; this hvdtma reads {VERSION}"
        with pytest.raises(UserError, match=words):
            open_checkpoint(path)
    assert newest(run) is None
    assert capsys.readouterr().err.count("trying the previous one") == 2


def test_the_best_parameters_are_put_back_only_if_those_of_the_run_are_later_or_lost(run):
    saved, ours = newest(run), run.best.read_bytes()
    best = round_of(run.best)
    assert 0 < best <= ROUNDS
    (saved.path / "best.safetensors").write_bytes(b"those of the checkpoint")
    restore_best(run, saved)
    assert run.best.read_bytes() == ours
    averaging = saved.facts["averaging"]
    averaging["rounds_done"] = best
    restore_best(run, saved)
    assert run.best.read_bytes() == ours  # of the checkpoint's last round
    averaging["rounds_done"] = best - 1
    restore_best(run, saved)
    assert run.best.read_bytes() == b"those of the checkpoint"
    run.best.unlink()
    averaging["rounds_done"] = ROUNDS
    restore_best(run, saved)
    assert run.best.read_bytes() == b"those of the checkpoint"
    (saved.path / "best.safetensors").unlink()
    averaging["rounds_done"] = 0
    restore_best(run, saved)
    assert not run.best.exists()
    restore_best(run, saved)


def test_the_end_is_saved_if_the_newest_checkpoint_has_its_round_and_its_reason(run):
    class Ended:
        rounds_done, stopped = ROUNDS, Stop.ROUNDS

    assert is_saved(run, Ended)
    Ended.stopped = Stop.EARLY
    assert not is_saved(run, Ended)
    Ended.rounds_done, Ended.stopped = ROUNDS - 1, Stop.ROUNDS
    assert not is_saved(run, Ended)
    shutil.rmtree(run.checkpoints)
    assert not is_saved(run, Ended)
