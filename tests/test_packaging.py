"""What is installed by pip, and that it trains without Horovod and without a compiler."""

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HIDDEN = ("horovod", "hvdtma", "__editable__", "__pycache__")  # entries of site-packages
BUILD = "from setuptools import build_meta; build_meta.build_sdist({!r})"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An sdist of a clean copy of the tree, and a wheel of that sdist; made without a network."""
    folder = tmp_path_factory.mktemp("dist")
    copy = folder / "copy"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    run(sys.executable, "-c", BUILD.format(str(folder)), cwd=copy)
    (sdist,) = folder.glob("hvdtma-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run(*pip, "-w", folder, source)
    (wheel,) = folder.glob("hvdtma-*.whl")
    return source, wheel


def run(*command, env=None, cwd=None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_wheel_has_code_configs_batch_scripts_pages_and_types(built):
    _, wheel = built
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"hvdtma/configs/{path.name}" for path in (ROOT / "configs").iterdir()}
    for package in ("hvdtma", "hypergraph", "slurm"):
        sources = [*(ROOT / package).rglob("*.py"), ROOT / package / "py.typed"]
        wanted |= {str(path.relative_to(ROOT)) for path in sources}
    for pattern in ("*.sbatch", "*.css", "*.js", "*.j2"):
        wanted |= {
            str(path.relative_to(ROOT))
            for package in ("hvdtma", "hypergraph", "slurm")
            for path in (ROOT / package).rglob(pattern)
        }
    assert not wanted - names
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "hvdtma",
        "hypergraph",
        "slurm",
    }


def test_the_metadata_name_the_project_and_what_it_needs(built):
    _, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata.get_payload().startswith("# hvdtma")
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert urls["Homepage"] == "https://github.com/hvdtma/hvdtma"
    needs = metadata.get_all("Requires-Dist")
    horovod = [need for need in needs if need.startswith("horovod")]
    assert all('extra == "horovod"' in need for need in horovod)
    assert len(horovod) == 1


def test_the_sdist_can_set_everything_up_and_run_the_tests(built):
    source, _ = built
    for name in ("Makefile", "constraints.txt", "tools/setup_env.py", "tests/conftest.py"):
        assert (source / name).is_file()
    assert (source / "hvdtma/configs/paper.yaml").read_text() == (
        ROOT / "configs/paper.yaml"
    ).read_text()


def test_every_dependency_has_a_version_that_was_tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    tried = ("horovod", "ogb", "docs", "release", "test")
    chosen = [need for name in tried for need in extras[name]]
    needs = [*project["dependencies"], *chosen]
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {re.match(r"[A-Za-z0-9-]+", need)[0].lower() for need in needs}
    assert not names - pinned - {"hvdtma"}  # the extra `test` takes in `docs`


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    """A virtual environment with the wheel and all dependencies, but neither Horovod nor this tree.

    Dependencies are links to those of the environment that runs the tests.
    """
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(HIDDEN) and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    run(*pip, "--no-deps", "--no-index", "--no-compile", built[1])
    return folder


def in_environment(environment, *words) -> str:
    """Run a command of the environment, where no compiler and nothing else can be found."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CC")}
    env |= {"PATH": str(environment / "bin"), "CXX": "no-compiler"}
    return run(environment / "bin" / words[0], *words[1:], env=env, cwd=environment)


def test_an_installed_hvdtma_trains_without_horovod_and_without_a_compiler(environment):
    found = "import importlib.util as u; print(u.find_spec('horovod'), u.find_spec('torch').origin)"
    assert in_environment(environment, "python", "-c", found).startswith("None ")
    source = "synthetic:nodes=600,edges=4000,features=8,communities=6"
    in_environment(environment, "hvdtma", "build", "g.zarr", source, "--negatives", "20")
    words = ["store=g.zarr", "run=run", "interval_steps=2", "rounds=1", "model.hidden=8"]
    said = in_environment(environment, "hvdtma", "train", *words, "evaluate.mode=final")
    assert "1 trainer(s), 1 rounds" in said
    examples = "from hvdtma.core.config import EXAMPLES; print((EXAMPLES / 'paper.yaml').is_file())"
    assert in_environment(environment, "python", "-c", examples) == "True\n"
