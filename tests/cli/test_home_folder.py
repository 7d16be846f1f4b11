"""`~` in paths of the command line is the home folder: shells leave it in `--out=~/x`."""

import pytest
from typer.testing import CliRunner

from hypergraph.cli import app


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder, here = tmp_path / "home", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(here)
    yield folder
    assert list(here.iterdir()) == []


def test_every_command_expands_it(hvdtma, home):
    def works(*arguments):
        status, _, err = hvdtma(*arguments)
        assert status == 0, err

    brief = ("interval_steps=2", "model.hidden=8", "evaluate.mode=final")
    works("build", "~/g.zarr", "synthetic:nodes=300,edges=2000", "--negatives", 5)
    works(
        "build",
        "~/h.zarr",
        "synthetic:nodes=300,edges=2000",
        "--features-like=~/g.zarr",
        "--negatives=5",
    )
    works("info", "~/g.zarr")
    works("verify", "~/g.zarr")
    works("partition", "~/g.zarr", "~/p.zarr", "--plot=~/plots/p.html")
    (home / "my.yaml").write_text("store: ~/p.zarr\nrounds: 1")
    works("train", "~/my.yaml", "run=~/runs/a", *brief)
    works("embed", "~/runs/a", "--out=~/e.parquet", "--store=~/g.zarr")
    works("report", "~/runs/a")
    works("config", "--out=~/c.yaml")
    names = {"g.zarr", "h.zarr", "p.zarr", "plots", "runs", "e.parquet", "c.yaml"}
    assert names <= {path.name for path in home.iterdir()}
    assert (home / "runs/a/report.html").is_file()


def test_files_are_found_there(hvdtma, home):
    lines = "".join(f"{n},{(n * 7 + 1) % 50}\n" for n in range(50))
    (home / "edges.csv").write_text(f"src,dst\n{lines}")
    status, _, err = hvdtma(
        "build", "~/g.zarr", "--edges=~/edges.csv", "--valid=3", "--test=3", "--negatives=2"
    )
    assert status == 0, err


def test_a_user_without_a_home_folder_is_named(hvdtma, home):
    status, _, err = hvdtma("info", "~nobody-of-this-name/g.zarr")
    assert status == 2
    assert "'~nobody-of-this-name/g.zarr' names a user without a home folder" in " ".join(
        err.split()
    )


def test_hypergraph_expands_it_too(home):
    done = CliRunner().invoke(app, ["config", "--out=~/c.yaml"])
    assert done.exit_code == 0
    assert (home / "c.yaml").is_file()
