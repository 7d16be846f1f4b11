"""Every transport trains to the same parameters, and says when a trainer is lost."""

import os
import subprocess
import time

import psutil
import pytest
import torch
from launchers import COMMANDS, TRAIN, environment, launched
from plain_training import plain_model
from safetensors.torch import load_file

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.config import dump_config
from hvdtma.core.train_config import parse_config
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import read_lines
from hvdtma.training.session import train
from hvdtma.training.set_up import make_trainer, set_up_device

# A Horovod that was built without PyTorch, as `pip install` builds it.
NO_PYTORCH = 'raise ImportError("Extension horovod.torch has not been built")'


def config_of(store, run, **changes):
    """A config and its file."""
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
    config, file = parse_config(values | changes), run.with_suffix(".yaml")
    dump_config(config, file)
    return config, file


def rounds_of(run):
    """The parameters after each round."""
    files = sorted((run / "rounds").glob("*.safetensors"))
    assert files
    return [load_file(file) for file in files]


def losses(run):
    rounds = [event for event in read_lines(run / "metrics.jsonl") if event["kind"] == "round"]
    return [[row["loss"] for row in event["trainers"]] for event in rounds]


def assert_same(run, reference):
    assert losses(run) == losses(reference)
    for found, expected in zip(rounds_of(run), rounds_of(reference), strict=True):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.fixture
def without_horovod(tmp_path):
    """The environment of a Python whose Horovod has no PyTorch part."""
    hiding = tmp_path / "hiding" / "horovod"
    (hiding / "torch").mkdir(parents=True)
    (hiding / "__init__.py").touch()
    (hiding / "torch" / "__init__.py").write_text(NO_PYTORCH)
    own = environment()
    return own | {"PYTHONPATH": f"{hiding.parent}{os.pathsep}{own['PYTHONPATH']}"}


def test_one_trainer_is_plain_pytorch_however_it_is_started(
    community_store, tmp_path, without_horovod
):
    alone, file = config_of(community_store, tmp_path / "alone")
    done = subprocess.run(
        [*TRAIN, file], env=without_horovod, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    device = set_up_device(alone, SingleProcess())  # one thread, as in the run
    trainer = make_trainer(alone, open_store(alone.store), SingleProcess(), device)
    plain = plain_model(alone, trainer.shard).state_dict()
    assert all(torch.equal(plain[name], value) for name, value in rounds_of(alone.run)[-1].items())

    in_process, _ = config_of(community_store, tmp_path / "in-process")
    InProcessGroup(1).run(lambda comm: train(in_process, comm))
    assert_same(in_process.run, alone.run)

    under_torchrun, file = config_of(community_store, tmp_path / "torchrun")
    done = launched("torchrun", 1, *TRAIN, file)
    assert done.returncode == 0, done.stderr
    assert_same(under_torchrun.run, alone.run)


@pytest.fixture(scope="module")
def in_process_run(community_store, tmp_path_factory):
    """A run of three trainers in one process."""
    config, _ = config_of(community_store, tmp_path_factory.mktemp("in-process") / "run")
    InProcessGroup(3).run(lambda comm: train(config, comm))
    return config.run


@pytest.mark.parametrize("launcher", ["horovodrun", "torchrun"])
def test_three_processes_are_three_trainers_in_one_process_bit_for_bit(
    community_store, tmp_path, in_process_run, launcher
):
    config, file = config_of(community_store, tmp_path / "run", trainers=3)
    done = launched(launcher, 3, *TRAIN, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(config.run, in_process_run)
    assert (config.run / "report.html").stat().st_size > 0
    assert (config.run / "summary.json").exists()


def test_when_a_trainer_of_torchrun_is_killed_the_other_says_so_once_and_ends(
    community_store, tmp_path
):
    timed = {"interval_steps": None, "interval_s": 1.0, "rounds": 200}
    config, file = config_of(community_store, tmp_path / "run", **timed)
    log = tmp_path / "log"
    with log.open("w") as written:
        torchrun = subprocess.Popen(
            [*COMMANDS["torchrun"], "2", *TRAIN, str(file)],
            env=environment(),
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 150
    while not (config.run / "metrics.jsonl").exists() or len(losses(config.run)) < 1:
        assert torchrun.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    trainers = psutil.Process(torchrun.pid).children()
    next(trainer for trainer in trainers if trainer.environ()["RANK"] == "1").kill()
    assert torchrun.wait(timeout=100) == 1
    said = log.read_text()
    assert said.count("another trainer was lost") == 1, said
    assert "Traceback" not in said.partition("another trainer was lost")[0]
    assert "exitcode  : 2" in said  # of rank 0, as under horovodrun


def test_elastic_trainers_under_torchrun_are_refused_before_anything_is_made(
    community_store, tmp_path
):
    config, file = config_of(community_store, tmp_path / "run", interval_steps=None, interval_s=1)
    done = launched("torchrun", 1, *TRAIN, file, "elastic=true")
    assert done.returncode == 1  # torchrun's own
    assert "elastic=true needs Horovod" in done.stderr
    assert "exitcode  : 2" in done.stderr
    assert not config.run.exists()


def test_a_horovod_without_its_pytorch_part_is_named_in_one_line(
    community_store, tmp_path, without_horovod
):
    config, file = config_of(community_store, tmp_path / "run")
    launcher = {"HOROVOD_RANK": "0", "HOROVOD_SIZE": "2"}  # as horovodrun sets them
    done = subprocess.run(
        [*TRAIN, file], env=without_horovod | launcher, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert (
        "error: horovodrun started this process, but Horovod's PyTorch part is not" in done.stderr
    )
    assert "make setup" in done.stderr
    assert not config.run.exists()
