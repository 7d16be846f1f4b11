"""Every command of the README and the docs is run, or stands in a list with the reason why not.

Commands run in the order of the pages, in one folder that looks like a clone. Training is cut to
two short rounds; launchers are left off, and the command that they start is run: the launchers
themselves have tests (tests/training, tests/comm, tests/slurm). Jobs are not submitted: their
scripts are printed.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell_blocks import PROGRAMS, Shown, commands

from hvdtma.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Pages whose commands are run by tests of their own.
OWN_TESTS = {
    "docs/experiments.md": "tests/test_experiments.py",
    "docs/typed.md": "tests/test_typed_page.py",
    "docs/using.md": "tests/test_using.py",
    "docs/extending.md": "tests/extending/test_examples.py",
    "docs/hyperlearn.md": "tests/hypergraph/test_command_line.py",
}
# Commands that are not run here, and why.
NOT_RUN = {
    r"^(sudo|conda|module|apptainer) ": "needs a package manager, or what is not installed",
    r"^make\b": "makes an environment; tests/tools",
    r"^pip |venv": "makes an environment; tests/test_packaging.py",
    r"^source ": "activates an environment",
    r"^eval |tests/cluster": "starts a cluster; tests/cluster",
    r"^srun .*(ip -br|SLURMD_NODENAME)|^srun --mpi=list|^scontrol |^squeue ": "needs a cluster",
    r"apptainer exec": "needs an image",
    r"^hvdtma drive ": "starts elastic trainers; tests/slurm/test_drive.py",
    r"kill_trainers": "kills trainers; tests/tools/test_kill_trainers.py",
    r"--host-discovery-script": "needs hosts; tests/training/test_horovodrun_elastic.py",
}
SHORT = (
    "interval_s=null", "interval_steps=2", "time_limit_s=null", "rounds=2", "model.hidden=8",
    "evaluate.mode=inline", "evaluate.every=1", "elastic=false",
    "memory_gb=null", "threads=1", "task.batch_size=64", "task.num_negatives=8",
)  # fmt: skip
STAND_INS = {"CONFIG": "configs/facebook.yaml", "ID": "7", "torch.optim.adam": "rich.console"}
LAUNCHERS = ("horovodrun", "torchrun", "srun")


def why_not(shown: Shown) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, shown.text)), None)


SHOWN = {
    str(page.relative_to(ROOT)): commands(page, ROOT)
    for page in PAGES
    if str(page.relative_to(ROOT)) not in OWN_TESTS
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder like a clone, with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "docs", "slurm", "tools", "tests"):
        (folder / name).symlink_to(ROOT / name)
    before = Path.cwd()
    os.chdir(folder)
    write_inputs()
    yield folder
    os.chdir(before)


def write_inputs():
    """A small graph of the reader's own: edges, features and labels, also of a later day."""
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 300, (3000, 2))
    rows = "".join(f"{u},{v}\n" for u, v in ends if u != v)
    Path("edges.csv").write_text("src,dst\n" + rows)
    Path("later.csv").write_text("src,dst\n" + rows + "".join(f"{n},{n + 1}\n" for n in range(310)))
    table = {"id": np.arange(300), "age": rng.normal(size=300), "size": rng.normal(size=300)}
    pq.write_table(pa.table(table), "features.parquet")
    shutil.copy("features.parquet", "people.parquet")
    labels = "".join(f"{n},{'ab'[n % 2]}\n" for n in range(300))
    Path("labels.csv").write_text("id,label\n" + labels)


def run_cli(*words: str) -> None:
    """Run hvdtma in this process, where its imports are made already."""
    before = sys.argv
    sys.argv = ["hvdtma", *map(str, words)]
    try:
        main()
    except SystemExit as stopped:
        assert not stopped.code, f"{' '.join(words)}: exit status {stopped.code}"
    finally:
        sys.argv = before


def made(path: str) -> bool:
    return Path(path).exists()


def prepare(words: list[str]) -> None:
    """Make the stores and runs that a command reads, where no earlier command made them."""
    for word in words:
        if word in ("g.zarr", "old.zarr", "data/mine.zarr", "STORE") and not made(word):
            features = [] if word == "old.zarr" else ["--features", "features.parquet"]
            run_cli("build", word, "--edges", "later.csv", *features, "--negatives", "20")
        name = word.removesuffix("/config.yaml")
        if re.fullmatch(r"runs/[\w-]+", name) and not made(name):
            prepare(["data/mine.zarr"])
            run_cli("train", "store=data/mine.zarr", f"run={name}", *SHORT)


def run_train(words: list[str]) -> None:
    trainers = ["--in-process", "2"] if "--in-process" in words else []
    if "--in-process" in words:
        at = words.index("--in-process")
        words = words[:at] + words[at + 2 :]
    if "--resume" in words:
        run = words[words.index("--resume") + 1]
        prepare([run])
        rounds = json.loads((Path(run) / "summary.json").read_text())["rounds"]
        run_cli("train", "--resume", run, f"rounds={rounds + 1}")
        return
    prepare(["data/mine.zarr"])
    given = [word for word in words if not word.startswith(("interval_", "time_limit_s"))]
    own = [] if any(w.startswith("store=") for w in words) else ["store=data/mine.zarr"]
    own += [] if any(w.startswith("run=") for w in words) else ["run=runs/shown"]
    run_cli("train", *given, *own, *SHORT, *trainers, "--overwrite")


def run(shown: Shown) -> None:
    words = [STAND_INS.get(word, word) for word in shown.words]
    if words[0] in LAUNCHERS or words[:2] == ["sbatch", "slurm/train.sbatch"]:
        at = words.index("hvdtma") if "hvdtma" in words else None
        assert at, f"{shown.text}: what does it start?"
        words = ["hvdtma", *words[at + 1 :]]
    if words[0] == "sbatch":
        script = next(word for word in words if word.endswith(".sbatch"))
        subprocess.run(["bash", "-n", script], check=True)
        words = ["hvdtma", "train", *words[words.index(script) + 1 :]]
    if words[0] == "head":
        subprocess.run(words, check=True)
    elif words[:2] == ["python", "docs/module_graph.py"]:
        few = [word for word in words[2:] if word.endswith(".csv") or word.startswith("--")]
        subprocess.run([sys.executable, words[1], *few, "json", "yaml", "rich"], check=True)
    elif words[:2] == ["hvdtma", "train"]:
        run_train(words[2:])
    elif words[:2] == ["hvdtma", "submit"]:
        prepare(["data/mine.zarr"])
        kept = [word for word in words[1:] if word != "--watch"]
        run_cli(*kept, "--dry-run", "store=data/mine.zarr", "device=auto")
    elif words[0] == "hvdtma":
        prepare(words)
        more = ["--overwrite"] if words[1] in ("build", "partition", "embed") else []
        run_cli(*words[1:], *more)
    else:
        raise AssertionError(f"{shown.page}: nothing runs {shown.text!r}")


@pytest.mark.parametrize("page", SHOWN)
def test_every_command_of_a_page_runs(clone, page, monkeypatch):
    monkeypatch.setenv("HOME", str(clone))
    monkeypatch.delenv("HVDTMA_CLUSTER", raising=False)
    if page == "docs/store.md":  # its run was trained on the earlier of two stores
        prepare(["old.zarr"])
        run_cli("train", "store=old.zarr", "run=runs/mine", *SHORT, "--overwrite")
    for shown in SHOWN[page]:
        if why_not(shown) is None:
            run(shown)


def test_every_reason_for_not_running_a_command_is_needed():
    every = [shown.text for page in SHOWN.values() for shown in page]
    assert not [pattern for pattern in NOT_RUN if not any(re.search(pattern, t) for t in every)]
    assert not [page for page, test in OWN_TESTS.items()
                if not ((ROOT / page).exists() and (ROOT / test).exists())]  # fmt: skip


def test_commands_are_found_in_all_pages_that_show_some():
    assert len(SHOWN["README.md"]) > 10
    for page in ("docs/tutorial.md", "docs/clusters.md", "docs/cluster_setup.md", "docs/store.md"):
        assert SHOWN[page]
    for shown in (shown for page in SHOWN.values() for shown in page):
        assert shown.words[0] in PROGRAMS, f"{shown.page}: {shown.text}"


def test_the_tutorials_python_runs_on_what_its_commands_made(clone):
    """After the page's commands; the two modules that it names are put among the embeddings."""
    page = (ROOT / "docs/tutorial.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    path = Path("runs/three/embeddings.parquet")
    table = pq.read_table(path)
    ids = table["id"].to_pylist()
    assert "rich.console" in ids
    for name in re.findall(r'"([a-z]+\.[\w.]+)"', code)[:2]:
        code = code.replace(name, "rich.console" if "torch" in name else "json.decoder")
    exec(compile(code, "tutorial.md", "exec"), {})


def test_a_gzipped_file_of_edges_is_read_as_the_tutorial_says(clone):
    Path("edges.csv.gz").write_bytes(gzip.compress(b"a,b\nx,y\ny,z\nz,x\nx,w\nw,y\n" * 3))
    words = ("--negatives", "2", "--valid", "1", "--test", "1", "--header", "yes")
    run_cli("build", "gzipped.zarr", "--edges", "edges.csv.gz", *words)
    assert made("gzipped.zarr")
