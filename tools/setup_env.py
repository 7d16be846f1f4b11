"""Make `.venv` with everything that hvdtma needs, or update it.

    python3.11 tools/setup_env.py [--extras test] [--mpi] [--torch-index URL]

PyTorch is installed first because Horovod is compiled against it; everything else follows, at the
versions of `constraints.txt` and with the hashes of `hashes.txt`. A stamp in `.venv` records the
options of the set-up and the CUDA that Horovod could be built with. Another run with the same
options does nothing, unless more of CUDA is found.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import build_horovod
import hashed_install
from steps import Command, StepError, run_step

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "hvdtma-stamp.json"
LOGS = ROOT / "build" / "logs"

PYTHON_MIN, PYTHON_END = (3, 11), (3, 13)  # as in pyproject.toml's requires-python
CMAKE_MIN = (3, 13)  # what Horovod asks for

TOOLS = ("setup_env.py", "build_horovod.py", "hashed_install.py", "steps.py")
# The files in the stamp's key: after a change of one, the next run sets up again.
INPUTS = (
    ROOT / "pyproject.toml",
    hashed_install.CONSTRAINTS,
    hashed_install.HASHES,
    *(ROOT / "tools" / name for name in TOOLS),
)


def pip_install(label: str, log: str, *words: str) -> None:
    """Run `pip install` in the environment with known versions and hashes."""
    hashed_install.pip_install(PYTHON, label, LOGS / f"{log}.log", words)


def wanted_key(mpi: bool) -> str:
    """Return a hash of everything that the contents of the environment depend on."""
    digest = hashlib.sha256(repr((sys.version_info[:2], mpi, str(ROOT))).encode())
    for path in INPUTS:
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Stamp:
    """The contents of an environment, actual or wanted.

    Attributes:
        key: see `wanted_key`.
        extras: extras of pyproject.toml.
        gpu_parts: parts of CUDA that Horovod's build could find.
        torch_index: the package index of PyTorch; None: pip's own, or any.
    """

    key: str
    extras: list[str]
    gpu_parts: list[str]
    torch_index: str | None

    @classmethod
    def read(cls) -> Stamp | None:
        """Return the environment's stamp, or None if there is no valid one."""
        if not (STAMP.exists() and PYTHON.exists()):
            return None
        stamp = json.loads(STAMP.read_text())
        return cls(**stamp) if stamp.keys() == {field.name for field in fields(cls)} else None

    def covers(self, wanted: Stamp) -> bool:
        """Return whether the environment has everything that is wanted.

        CUDA that is not found now, such as without its module loaded, changes nothing.
        """
        return (
            self.key == wanted.key
            and set(self.extras) >= set(wanted.extras)
            and set(self.gpu_parts) >= set(wanted.gpu_parts)
            and wanted.torch_index in (None, self.torch_index)
        )

    def write(self) -> None:
        """Write the stamp of the environment."""
        half = STAMP.with_suffix(".half")
        half.write_text(json.dumps(asdict(self)) + "\n")
        half.replace(STAMP)


def check_python() -> None:
    """Raise `StepError` unless the calling interpreter is one that the packages support."""
    if not PYTHON_MIN <= sys.version_info[:2] < PYTHON_END:
        raise StepError(
            f"{sys.executable} is Python {sys.version.split()[0]}; hvdtma needs 3.11 or 3.12, "
            "since DGL has no wheels for others. Name one: make setup PYTHON=python3.11"
        )


def check_tools(mpi: bool) -> None:
    """Raise `StepError` for missing compilers, unless Horovod may come from the cache."""
    if not any(build_horovod.cache_root().glob("*/horovod-*.whl")):
        build_horovod.check_build_tools(mpi)


def make_venv() -> None:
    """Make `.venv`, or keep it if it works and has the calling Python's version."""
    if PYTHON.exists():
        ask = "import sys, pip; print(sys.version_info[:2])"
        done = subprocess.run([str(PYTHON), "-c", ask], capture_output=True, text=True)
        if done.stdout.strip() == str(sys.version_info[:2]):
            return
    if VENV.exists():
        print("  .venv is broken or of another Python: it is made again", flush=True)
        shutil.rmtree(VENV)
    # The calling interpreter may be that of the .venv just removed; this is the one behind it.
    base = getattr(sys, "_base_executable", sys.executable)
    run_step("make .venv", [base, "-m", "venv", VENV], LOGS / "venv.log")


def has_cmake() -> bool:
    """Return whether a CMake that Horovod accepts is on the PATH or in the environment."""
    path = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        return False
    about = subprocess.run([cmake, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"version (\d+)\.(\d+)", about)
    return version is not None and (int(version[1]), int(version[2])) >= CMAKE_MIN


def install(wanted: Stamp, asked: argparse.Namespace, *, other_torch: bool) -> None:
    """Run every step, in the only order that works.

    Args:
        other_torch: whether PyTorch may be installed from another index; pip would keep it.
    """
    make_venv()
    index = ["--index-url", asked.torch_index] if asked.torch_index else []
    if other_torch:
        command: Command = [PYTHON, "-m", "pip", "uninstall", "--yes", "torch"]
        run_step("remove PyTorch of another index", command, LOGS / "torch-removed.log")
    # Horovod and this project are built without isolation; beside PyTorch they need these.
    build_needs = ["setuptools", "wheel", "packaging", "cloudpickle", "psutil", "pyyaml", "cffi"]
    pip_install("install PyTorch", "torch", "torch", *index)
    pip_install("install build tools", "build-tools", *build_needs)
    if not has_cmake():
        pip_install("install CMake", "cmake", "cmake")
    build_horovod.ensure_horovod(PYTHON, LOGS, asked.mpi, asked.jobs)
    project = f"{ROOT}[{','.join(['horovod', *wanted.extras])}]"  # the extra names what was built
    # compat: a plain path entry; packages that are added later are found without a new install.
    editable = ["--no-build-isolation", "--config-settings", "editable_mode=compat", "-e", project]
    pip_install("install hvdtma and what it needs", "project", *editable)


def set_up(asked: argparse.Namespace) -> None:
    """Set the environment up as asked; does nothing if it is set up already."""
    check_python()
    wanted = Stamp(
        wanted_key(asked.mpi), sorted(asked.extras), build_horovod.gpu_parts(), asked.torch_index
    )
    there = Stamp.read()
    if there and there.covers(wanted):
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two set-ups at once would break .venv
        there = Stamp.read()
        if there and there.covers(wanted):
            return
        check_tools(asked.mpi)
        began = time.monotonic()
        print("Setting up .venv", flush=True)
        STAMP.unlink(missing_ok=True)
        known_index = there.torch_index if there else None
        if there and there.key == wanted.key:
            extras = sorted({*wanted.extras, *there.extras})
            gpu_parts = sorted({*wanted.gpu_parts, *there.gpu_parts})
            wanted = replace(wanted, extras=extras, gpu_parts=gpu_parts)
            wanted = replace(wanted, torch_index=asked.torch_index or known_index)
        install(wanted, asked, other_torch=asked.torch_index not in (None, known_index))
        wanted.write()
        print(f"Set up in {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    """Parse the command line and set up."""
    parser = argparse.ArgumentParser(description="Make or update .venv.")
    parser.add_argument("--extras", nargs="*", default=[], help="extras of pyproject.toml")
    parser.add_argument("--mpi", action="store_true", help="build Horovod with MPI too")
    parser.add_argument("--jobs", type=int, help="files of Horovod compiled at once")
    parser.add_argument("--torch-index", help="package index to take PyTorch from")
    asked = parser.parse_args()
    try:
        set_up(asked)
    except StepError as failure:
        print(f"\nSetting up stopped: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; run the same command to continue.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
