"""What a process takes before a graph makes it larger: Python, libraries, compiled code.

Measured in processes of their own that each do the real work on a graph of almost nothing. It
depends on the PyTorch that is installed, on caches and on cores.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.console import quietly
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig, load_config

LEAST_NODES, LEAST_EDGES = 400, 2000


@dataclass(frozen=True)
class Base:
    """Bytes that each process takes at least, and where these numbers are from."""

    build: int
    train: int
    evaluate: int
    source: str


# By `measure_base`, with PyTorch 2.13 for CPUs on Python 3.11 and two cores.
RECORDED = Base(
    526 << 20, 619 << 20, 526 << 20, "recorded with a PyTorch for CPUs; not this machine's"
)


def measure_base() -> Base:
    """The bases of this machine, by three processes; takes some seconds."""
    from hvdtma.graph.builder import BuildOptions, build
    from hvdtma.graph.sources import SyntheticGraph

    with quietly(), tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "least.zarr"
        source = SyntheticGraph(LEAST_NODES, LEAST_EDGES, features=4, communities=4)
        build(store, source, BuildOptions(negatives=4, block_nodes=20))
        with ThreadPoolExecutor(3) as pool:
            build_peak, train_peak, evaluate_peak = pool.map(
                lambda stage: _peak_of(stage, store), ("build", "train", "evaluate")
            )
        said = "measured here, in processes that did almost nothing"
        return Base(build_peak, train_peak, evaluate_peak, said)


def _peak_of(stage: str, store: Path) -> int:
    command = [sys.executable, "-m", "hvdtma.plan.base", stage, str(store)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"the memory of '{stage}' could not be measured: {last}; use --quick")
    return int(done.stdout.split()[-1])


def _build_least(store: Path) -> None:
    from hvdtma.graph.builder import BuildOptions, build
    from hvdtma.graph.sources import SyntheticGraph

    source = SyntheticGraph(LEAST_NODES, LEAST_EDGES, features=4, communities=4)
    build(store.with_name("again.zarr"), source, BuildOptions(negatives=4))


def _train_least(store: Path) -> None:
    import torch

    from hvdtma.comm.horovod import HorovodComm
    from hvdtma.graph.store import open_store
    from hvdtma.training.set_up import make_trainer, set_up_device

    comm, config = HorovodComm(), _least_config(store)
    set_up_device(config, comm)
    trainer = make_trainer(config, open_store(store), comm, torch.device("cpu"))
    for _ in range(3):
        trainer.take_step()


def _evaluate_least(store: Path) -> None:
    from hvdtma.evaluation.score import Scorer
    from hvdtma.graph.store import open_store
    from hvdtma.tasks import make_model, make_task

    config, opened = _least_config(store), open_store(store)
    model = make_model(config, opened, make_task(config, opened))
    Scorer(config, opened)(model, "test")


def _least_config(store: Path) -> TrainConfig:
    path = store.with_name("least.yaml")
    if not path.exists():
        path.write_text("rounds: 1\nmodel: {hidden: 4}\ntask: {batch_size: 8}\n")
    return load_config(path, [f"store={store}", f"run={store.with_name('run')}"])


def main() -> None:
    """Do one stage's work and print the most memory that this process had."""
    stage, store = sys.argv[1], Path(sys.argv[2])
    {"build": _build_least, "train": _train_least, "evaluate": _evaluate_least}[stage](store)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}\n")


if __name__ == "__main__":
    main()
