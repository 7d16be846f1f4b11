"""Shared by the tests of training on the test cluster."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from hvdtma.comm import InProcessGroup
from hvdtma.core.config import dump_config
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.session import train

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ROUNDS = 60  # many and short, so that a signal comes in the middle of the run


def config_of(store, run, **changes):
    """A config and its file, RUN.yaml."""
    values = {
        "store": str(store.path),
        "run": str(run),
        "interval_steps": 2,
        "rounds": ROUNDS,
        "threads": 1,
        "model": {"hidden": 8},
        "task": {"batch_size": 32},
        "evaluate": {"mode": "final"},
    }
    config = parse_config(values | changes)
    path = Path(run).with_suffix(".yaml")
    dump_config(config, path)
    return config, path


def environment(slurm, **more):
    """The environment of a user of the cluster who has the package on the path."""
    path = f"{BIN}{os.pathsep}{slurm.env['PATH']}"
    return slurm.env | {"PATH": path, "PYTHONPATH": str(ROOT), **more}


def horovodrun(config):
    """Train a config's file with four trainers, without Slurm."""
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = ["horovodrun", "-np", "4", "hvdtma", "train", str(config)]
    subprocess.run(command, env=env, check=True, capture_output=True)


def in_process(config, trainers):
    """Train a config with trainers in this process; the summary."""
    return InProcessGroup(trainers).run(lambda comm: train(config, comm))[0]


def srun(slurm, *command):
    """Run srun to its end."""
    words = ["srun", *map(str, command)]
    return subprocess.run(words, env=environment(slurm), capture_output=True, text=True)


def parameters(run):
    return load_file(RunFolder(run).round_files()[-1])


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def sbatch(slurm, script, *arguments, folder, options=()):
    """Submit a script; the job's id."""
    command = ["sbatch", "--parsable", f"--output={folder}/log", *options, script, *arguments]
    return subprocess.run(
        list(map(str, command)), env=environment(slurm), check=True, capture_output=True, text=True
    ).stdout.strip()


def log(folder):
    return (folder / "log").read_text()
