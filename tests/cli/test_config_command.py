"""`hvdtma config` and docs/config.md: every key, from the one source of its default."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hvdtma.core.config import load_as
from hvdtma.core.errors import UserError
from hvdtma.core.field_text import component_of
from hvdtma.core.train_config import TrainConfig, load_train_config, parse_config
from hypergraph.config import RunConfig

ROOT = Path(__file__).parents[2]
MAKE = "hvdtma config --markdown --out docs/config.md --overwrite"


def keys_of(kind, prefix=""):
    for name, info in kind.model_fields.items():
        component = component_of(info.annotation)
        yield from keys_of(component, f"{prefix}{name}.") if component else [f"{prefix}{name}"]


@pytest.fixture
def written(hvdtma, tmp_path):
    path = tmp_path / "new" / "config.yaml"
    assert hvdtma("config", "--out", path)[0] == 0
    return path


def test_the_written_config_is_valid_and_all_default_once_something_ends_the_run(written):
    config = load_train_config(written, ["run=runs/a", "store=a.zarr", "rounds=3"])
    assert config == parse_config({"run": "runs/a", "store": "a.zarr", "rounds": 3})
    with pytest.raises(UserError, match="nothing ends this run"):
        load_train_config(written)


def test_the_written_config_has_every_key_with_a_comment(written):
    values = yaml.safe_load(written.read_text())
    for key in keys_of(TrainConfig):
        at = values
        for part in key.split("."):
            at = at[part]  # a KeyError names what is missing
    lines = written.read_text().splitlines()
    assert max(map(len, lines)) <= 100
    assert "  norm: layer  # layer, batch or none" in lines
    assert "store: data/graph.zarr  # required; a path" in lines


def test_config_goes_to_stdout_and_replaces_no_file_unasked(hvdtma, written):
    assert hvdtma("config")[1] == written.read_text()
    written.write_text("precious")
    status, _, err = hvdtma("config", "--out", written)
    assert (status, written.read_text()) == (2, "precious")
    assert "--overwrite" in err
    assert hvdtma("config", "--out", written, "--overwrite")[0] == 0
    assert "precious" not in written.read_text()


def test_docs_config_is_current(hvdtma):
    made = hvdtma("config", "--markdown")[1]
    assert (ROOT / "docs/config.md").read_text() == made, f"docs/config.md is old; run: {MAKE}"
    assert MAKE in made
    assert not [key for key in keys_of(TrainConfig) if f"| `{key}` |" not in made]


def test_config_loads_no_torch():
    code = (
        "import sys; from hvdtma.cli import main; sys.argv = ['hvdtma', 'config']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'dgl', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "store: data/graph.zarr" in done.stdout


def test_hyperlearns_config_is_valid_once_it_has_data(tmp_path):
    path = tmp_path / "config.yaml"
    command = [sys.executable, "-m", "hypergraph", "config", "--out", str(path)]
    subprocess.run(command, check=True, cwd=ROOT)
    config = load_as(RunConfig, path, ["data.hypergraph=movies"])
    values = {"run": "runs/first", "data": {"hypergraph": "movies"}}
    assert config == RunConfig.model_validate(values)
    with pytest.raises(UserError, match="give one of hypergraph, tate, debian and tables, not 0"):
        load_as(RunConfig, path)
