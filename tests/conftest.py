"""Graphs and stores that many tests read and none changes."""

import os
import signal
import sys

import pytest
from cluster import Cluster, missing_programs
from small_graphs import community_graph, typed_graph

from hvdtma.cli import main
from hvdtma.comm.in_process import InProcessComm
from hvdtma.comm.objects import decode_object, encode_object
from hvdtma.graph.builder import BuildOptions, build

OF_OBJECTS = ("broadcast_object", "all_gather_object", "gather_object")


def pytest_addoption(parser):
    parser.addoption(
        "--slurm",
        choices=("try", "require"),
        default="try",
        help="where Slurm is not installed, skip the tests on a cluster (try) or fail them",
    )


@pytest.fixture(autouse=True)
def restored_signals():
    """A command that was told to stop leaves signals ignored; later tests would inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def objects_as_bytes(monkeypatch):
    """Trainers in one process exchange objects as bytes, as trainers on several machines do."""

    def sent(value):
        return decode_object(encode_object(value, "secret"), "secret")

    def broadcast(self, value, root=0):
        return original["broadcast_object"](self, sent(value if self.rank == root else None), root)

    original = {name: getattr(InProcessComm, name) for name in OF_OBJECTS}
    monkeypatch.setattr(InProcessComm, "broadcast_object", broadcast)
    for name in ("all_gather_object", "gather_object"):
        method = original[name]
        monkeypatch.setattr(
            InProcessComm, name, lambda self, value, of=method: of(self, sent(value))
        )


@pytest.fixture(scope="session")
def community_raw():
    """An undirected graph of 600 nodes with labels and large integer ids."""
    return community_graph()


@pytest.fixture(scope="session")
def typed_raw():
    """A directed graph of 200 nodes with typed parallel edges and strings for ids."""
    return typed_graph()


@pytest.fixture(scope="session")
def community_store(community_raw, tmp_path_factory):
    """The undirected graph built, in 60 blocks."""
    path = tmp_path_factory.mktemp("stores") / "community.zarr"
    return build(path, community_raw, BuildOptions(negatives=20, block_nodes=10))


@pytest.fixture(scope="session")
def typed_store(typed_raw, tmp_path_factory):
    """The typed graph built, in 29 blocks."""
    path = tmp_path_factory.mktemp("stores") / "typed.zarr"
    return build(path, typed_raw, BuildOptions(negatives=20, block_nodes=7))


@pytest.fixture
def hvdtma(monkeypatch, capsys):
    """Run a command as the console script does: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hvdtma", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


@pytest.fixture(scope="session")
def slurm_cluster(request, tmp_path_factory):
    """A Slurm cluster of four nodes that binds tasks to CPUs; tests take it by way of `slurm`."""
    if missing_programs() and request.config.getoption("slurm") == "try":
        pytest.skip(f"not installed: {', '.join(missing_programs())}")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    if os.cpu_count() < 2:  # too few to bind several tasks of a node
        cluster.up(nodes=4, cpus=8)
    else:
        cluster.up(nodes=4, cpus=os.cpu_count(), task_plugin="task/affinity")
    yield cluster
    cluster.down()


@pytest.fixture
def slurm(slurm_cluster):
    """A cluster with four idle nodes; what a test leaves there is ended after it."""
    yield slurm_cluster
    slurm_cluster.tidy()
