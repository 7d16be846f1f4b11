"""Nothing is written where it would be lost, and nothing is removed that is not replaced."""

from pathlib import Path

import pytest

from hvdtma.core.config import load_as
from hvdtma.core.errors import UserError
from hvdtma.core.partial import partial_path, remove_abandoned
from hvdtma.core.places import check_new_folder
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.export import export
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import BaseRunFolder
from hvdtma.runs.run_folder import RunFolder
from hvdtma.sweeps.folder import SweepFolder
from hvdtma.tables.write import check_output
from hvdtma.training.checkpoint import newest

OPTIONS = BuildOptions(negatives=3)


@pytest.fixture
def store(community_raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(Path("g.zarr"), community_raw, OPTIONS)


@pytest.fixture
def run(store):
    config = load_as(TrainConfig, {"store": store.path, "run": "run", "rounds": 1}, {})
    return RunFolder.create(config, store)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("path", ["/", ".", "..", "../..", "g.zarr/run", "run/run", "link/run"])
def test_no_run_store_or_sweep_is_put_over_the_current_folder_or_inside_another(
    run, community_raw, path, overwrite
):
    Path("link").symlink_to("g.zarr")
    said = r"is the current folder, or one above it|is inside the (run|store) .*would be removed"
    with pytest.raises(UserError, match=said):
        BaseRunFolder(path).check_removable(overwrite=overwrite)
    with pytest.raises(UserError, match=said):
        build(Path(path), community_raw, OPTIONS, overwrite=overwrite)
    with pytest.raises(UserError, match=said):
        check_new_folder(SweepFolder(Path(path)).path)
    with pytest.raises(UserError, match=rf"{said}|exists and is no sweep"):
        SweepFolder(Path(path)).open({}, overwrite=overwrite)
    assert open_store("g.zarr").num_nodes == 600


def test_no_table_is_written_inside_a_store(store):
    with pytest.raises(UserError, match="is inside the store"):
        check_output(Path("g.zarr/scores.csv"), overwrite=True)
    with pytest.raises(UserError, match="is inside the store"):
        export(store, Path("g.zarr/out"), "parquet", overwrite=True)


@pytest.mark.parametrize("other", ["notes.txt", "run/config.yaml"])
def test_a_store_that_holds_something_else_is_not_replaced(store, community_raw, other):
    kept = Path("g.zarr") / other
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(UserError, match=f"holds {other.split('/')[0]}, which is not of the store"):
        build(Path("g.zarr"), community_raw, OPTIONS, overwrite=True)
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("holds", ["store", "current folder"])
def test_a_run_that_holds_a_store_or_the_current_folder_is_not_replaced(run, holds, monkeypatch):
    if holds == "store":
        Path("g.zarr").rename("run/g.zarr")
    else:
        monkeypatch.chdir("run")
    folder = BaseRunFolder(run.path if holds == "store" else Path("../run"))
    with pytest.raises(UserError, match=r"inside the run|is the current folder"):
        folder.check_removable(overwrite=True)


@pytest.mark.parametrize("path", ["/", ".", ".."])
def test_a_folder_without_a_run_is_named_whatever_its_path(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no run at"):
        RunFolder.open(path)


def test_a_sweep_stays_until_the_new_one_is_there(tmp_path, store, monkeypatch):
    folder = SweepFolder(tmp_path / "sweep")
    folder.open({"seed": 1}, overwrite=False)
    (folder.runs / "001").mkdir()

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("hvdtma.sweeps.folder.write_json", fails)
        folder.open({"seed": 2}, overwrite=True)
    assert (folder.runs / "001").exists()
    with pytest.raises(UserError, match="is inside the run"):
        folder.open({"seed": 2}, folder.runs / "001", overwrite=True)
    folder.open({"seed": 2}, overwrite=True)
    assert list(folder.runs.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.zarr", "sweep"]


def test_files_of_other_programs_with_odd_names_stay_and_are_no_checkpoints(run):
    odd = [
        partial_path(run.path, "x"),
        run.path.with_name(".run.partial"),
        partial_path(run.path, "9" * 30),
    ]
    for path in odd:
        path.mkdir()
    remove_abandoned(run.path)
    assert all(path.exists() for path in odd)
    for name in ("0001 (copy)", "1_0", "٣", "9" * 40):
        (run.checkpoints / name).mkdir(parents=True)
        (run.rounds / f"{name}.safetensors").touch()
    assert newest(run) is None
    assert run.round_files() == []
