"""What the README and the configs show works as it stands there."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import run_script

import hvdtma
from hvdtma.core.config import load_as
from hvdtma.core.train_config import TrainConfig, load_train_config
from hypergraph.config import HyperLearnConfig, RunConfig
from slurm.defaults import ClusterDefaults, read_defaults

ROOT = Path(__file__).parent.parent
OTHERS = {"tate.yaml": RunConfig, "ratings.yaml": RunConfig}  # of HyperLearn
CONFIGS = sorted(path for path in ROOT.glob("configs/*.yaml") if path.name != "cluster.yaml")
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_example_config_is_valid(path):
    kind = OTHERS.get(path.name, TrainConfig)
    assert load_as(kind, path).run.parts[0] == "runs"


def test_the_example_of_cluster_defaults_is_valid_and_names_every_key_but_two():
    defaults = read_defaults(ROOT / "configs/cluster.yaml")
    unnamed = set(ClusterDefaults.model_fields) - defaults.model_fields_set
    assert unnamed == {"qos", "nodelist"}


def test_the_papers_config_is_the_papers():
    config = load_train_config(ROOT / "configs/paper.yaml")
    assert (config.interval_s, config.model.hidden, config.optimizer.lr) == (120, 256, 1e-3)
    assert not config.first_hop
    assert config.reassign_rounds == 0


def test_the_readmes_averaging_example_runs_under_horovod(tmp_path):
    loop = next(block for block in BLOCKS if "TimedAveraging" in block)
    lines = [line for line in loop.splitlines() if line.strip() and not line.startswith("import")]
    assert len(lines) <= 10
    script = tmp_path / "loop.py"
    script.write_text(loop + '\nprint("rounds:", averaging.rounds_done)\n')
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["horovodrun", "-np", "2", sys.executable, str(script)],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rounds: 3") == 2


class Brief(HyperLearnConfig):
    """Defaults that take no time."""

    iterations: int | None = 3


def test_the_readmes_other_examples_run(tmp_path, monkeypatch):
    """Tate's on a few made-up artworks, and briefly."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artworks.csv.gz").write_bytes(gzip.compress(made_up_artworks().encode()))
    monkeypatch.setattr("hypergraph.learn.HyperLearnConfig", Brief)
    others = [block for block in BLOCKS if "TimedAveraging" not in block]
    assert others
    for block in others:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "grouped.zarr").exists()
    assert (tmp_path / "runs/a/report.html").exists()


def made_up_artworks() -> str:
    lines = ["id,title,artist_id,artist,medium,classification,start_year,subject_ids"]
    artists = ("William Blake", "Ann", "Bob")
    for n in range(60):
        lines.append(f"{n},Boat,{n % 3},{artists[n % 3]},medium {n % 4},drawing,{1700 + 5 * n},7 8")
    return "\n".join(lines) + "\n"


def test_every_example_of_the_python_page_runs_in_order(tmp_path):
    """As a script of a stranger; a block that begins with a file's name is a module of theirs."""
    text = (ROOT / "docs/python.md").read_text()
    script = []
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        module = re.match(r"# (\w+\.py)\n", block)
        if module:
            (tmp_path / module[1]).write_text(block)
        else:
            script.append(block)
    (tmp_path / "script.py").write_text("\n".join(script))
    done = run_script(Path("script.py"), tmp_path)
    assert "did you mean 'optimizer'?" in done.stdout
    assert (tmp_path / "embeddings.parquet").is_file()
    used = set(re.findall(r"hvdtma\.(\w+)", "\n".join(script)))
    assert {name for name in hvdtma.__all__ if name != "__version__"} <= used
    titles = set(re.findall(r"^\| \[`(\w+)`\]", text, re.MULTILINE))
    assert titles == {name for name in hvdtma.__all__ if name != "__version__"}


def test_the_example_of_a_collection_runs(tmp_path):
    done = run_script(ROOT / "docs/own_collection.py", tmp_path)
    learned = re.search(r"{'mrr': (\d\.\d+)", done.stdout)
    assert float(learned[1]) > 0.15  # of random factors it is 0.05
    assert "films like film 7:" in done.stdout
    assert (tmp_path / "runs/own_collection.safetensors").is_file()


def test_the_readme_names_only_files_that_are_there():
    named = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
