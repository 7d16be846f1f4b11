"""A run resumes where its store, its data or its own folder was moved or copied."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from hvdtma.comm import InProcessGroup
from hvdtma.core.config import dump_config
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.store import open_store
from hvdtma.partitioning.partition import PartitionOptions, partition
from hvdtma.runs.folder import StartMode
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.session import train

ROUNDS = 4


def config_of(store, run, **changes):
    values = {"store": str(store), "run": str(run), "interval_steps": 3, "rounds": ROUNDS}
    values |= {"threads": 1, "model": {"hidden": 8}, "task": {"batch_size": 32}, "log": []}
    return parse_config(values | {"evaluate": {"mode": "final"}} | changes)


def run_of(config, *, resume=False):
    mode = StartMode.RESUME if resume else StartMode.NEW
    return InProcessGroup(2).run(lambda comm: train(config, comm, mode=mode))[0]


def parameters(run):
    return load_file(RunFolder(run).round_files()[-1])


def assert_same(one, other):
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def begun(community_store, tmp_path):
    """A store of its own and a run on it that has half of its rounds."""
    store = tmp_path / "here" / "graph.zarr"
    shutil.copytree(community_store.path, store)
    run_of(config_of(store, tmp_path / "run", rounds=ROUNDS // 2))
    return store, tmp_path / "run"


@pytest.fixture(scope="module")
def whole(community_store, tmp_path_factory):
    """The parameters of the run without any break."""
    run = tmp_path_factory.mktemp("whole") / "run"
    run_of(config_of(community_store.path, run))
    return parameters(run)


def test_a_moved_store_is_taken_and_the_run_goes_on_as_if_nothing_had_happened(
    begun, whole, tmp_path
):
    store, run = begun
    moved = shutil.move(store, tmp_path / "new place.zarr")
    run_of(config_of(moved, run), resume=True)
    assert_same(parameters(run), whole)
    assert RunFolder(run).config().store == moved  # the next command finds it


def test_a_moved_store_may_be_named_on_the_command_line(begun, whole, tmp_path, hvdtma):
    store, run = begun
    moved = shutil.move(store, tmp_path / "moved.zarr")
    words = ("--in-process", 2, "--resume", run, f"store={moved}", f"rounds={ROUNDS}")
    status, _, said = hvdtma("train", *words)
    assert status == 0, said
    assert_same(parameters(run), whole)
    dump_config(config_of(store, run), tmp_path / "c.yaml")
    status, _, said = hvdtma(
        "train", tmp_path / "c.yaml", f"store={moved}", "--or-resume", "--in-process", 2
    )
    assert status == 0, said
    assert "is complete" in " ".join(said.split())


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_run_that_was_moved_or_copied_goes_on_in_its_new_place(begun, whole, tmp_path, how):
    store, run = begun
    new = tmp_path / "archive" / "a run"
    new.parent.mkdir()
    how(run, new)
    run_of(config_of(store, new), resume=True)
    assert_same(parameters(new), whole)
    if run.exists():  # the copied one is as it was
        rounds = [event["round"] for event in RunFolder(run).events() if event["kind"] == "round"]
        assert rounds == [1, 2]


def test_a_store_of_another_graph_is_refused_by_name(begun, typed_store, tmp_path):
    _, run = begun
    with pytest.raises(UserError, match=r"typed\.zarr has (another|other) .*"):
        run_of(config_of(typed_store.path, run), resume=True)


def test_a_store_of_the_same_graph_in_another_order_is_taken_and_all_blocks_are_reassigned(
    begun, tmp_path
):
    store, run = begun
    other = tmp_path / "ordered.zarr"
    partition(open_store(store), other, PartitionOptions(seed=5))
    run_of(config_of(other, run), resume=True)
    rounds = [event["round"] for event in RunFolder(run).events() if event["kind"] == "round"]
    assert rounds == list(range(1, ROUNDS + 1))
    assert RunFolder(run).summary.exists()
