"""What is replaced is there before, after and whenever the process is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from hvdtma.core import partial
from hvdtma.core.config import load_as
from hvdtma.core.files import replacing
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import StartMode
from hvdtma.runs.run_folder import RunFolder

# Replaces the folder `path` by a new one, and is killed where `moment` says.
REPLACE = """
import os, pathlib, signal, sys
from hvdtma.core import partial
path, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
new = partial.partial_path(path, os.getpid())
new.mkdir()
(new / "content").write_text("new")
if moment == "before":
    kill()
if moment == "between":  # where folders cannot be exchanged
    partial._exchange = lambda one, other: False
    rename = pathlib.Path.rename
    pathlib.Path.rename = lambda self, to: kill() if self == new else rename(self, to)
if moment == "after":
    partial.remove = kill
partial.put_in_place(new, path)
"""


def replace_until(path: Path, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", REPLACE, str(path), moment], check=False)
    assert done.returncode == -9


@pytest.mark.parametrize("moment", ["before", "between", "after"])
@pytest.mark.parametrize("name", ["graph.zarr", "odd [1]*?.zarr"])
def test_a_kill_leaves_the_old_or_the_new_folder_and_nothing_else(moment, name, tmp_path, capsys):
    path = tmp_path / name
    path.mkdir()
    (path / "content").write_text("old")
    replace_until(path, moment)
    assert path.exists() or moment == "between"
    partial.remove_abandoned(path)
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert (path / "content").read_text() == ("new" if moment == "after" else "old")
    said = "is back" if moment == "between" else "is removed"
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_a_store_that_was_set_aside_is_found_again_by_whoever_opens_it(community_raw, tmp_path):
    path = tmp_path / "graph.zarr"
    graph = build(path, community_raw, BuildOptions(negatives=3)).graph
    replace_until(path, "between")
    assert not path.exists()
    assert open_store(path).graph == graph


def test_leftovers_of_living_processes_and_of_others_names_stay(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    kept = [
        partial.partial_path(tmp_path / "a", other.pid),
        partial.partial_path(tmp_path / "ab", 2**22 + 1),  # no such process
        tmp_path / ".a.elsewhere-4194305.partial",  # of another machine
    ]
    for path in kept:
        path.mkdir()
    partial.remove_abandoned(tmp_path / "a")
    other.communicate()
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("exchange", [True, False])
def test_the_target_of_a_link_is_replaced_and_the_link_stays(
    exchange, community_raw, tmp_path, monkeypatch
):
    if not exchange:
        monkeypatch.setattr(partial, "_exchange", lambda one, other: False)
    (tmp_path / "disk").mkdir()
    link = tmp_path / "graph.zarr"
    link.symlink_to(tmp_path / "disk" / "real.zarr")
    first = build(tmp_path / "disk" / "real.zarr", community_raw, BuildOptions(negatives=3))
    second = build(link, community_raw, BuildOptions(negatives=5), overwrite=True)
    assert link.is_symlink()
    assert open_store(tmp_path / "disk" / "real.zarr").graph == second.graph != first.graph
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real.zarr"]


def test_a_file_is_replaced_through_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with replacing(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.fixture
def config(community_raw, tmp_path):
    store = build(tmp_path / "graph.zarr", community_raw, BuildOptions(negatives=3))
    return load_as(TrainConfig, {"store": store.path, "run": tmp_path / "run", "rounds": 1}, {})


def test_an_earlier_run_stays_until_the_new_one_is_in_its_place(config):
    store = open_store(config.store)
    run = RunFolder.create(config, store)
    run.best.write_text("of the earlier run")
    with pytest.raises(KeyboardInterrupt), run.making(config, config.store, overwrite=True):
        assert run.best.exists()
        raise KeyboardInterrupt
    assert run.best.exists()
    RunFolder.create(config, store, overwrite=True)
    assert not run.best.exists()
    assert sorted(path.name for path in run.path.parent.iterdir()) == ["graph.zarr", "run"]


def test_a_run_that_is_to_be_replaced_stays_until_a_trainer_starts(config):
    store = open_store(config.store)
    run = RunFolder.create(config, store)
    run.best.write_text("of the earlier run")
    run.prepare(StartMode.OVERWRITE, config.store)
    run.unlock()
    assert run.best.exists() and run.outdated.exists()
    RunFolder.create(config, store, overwrite=True)
    assert not run.outdated.exists()
