"""`make release`: build the sdist and the wheel in dist/, check them, and train with each.

Each is installed into a clean environment, with the versions of constraints.txt and without
Horovod, and runs the demo from a folder that is no clone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

from steps import Command, StepError, run_step

ROOT = Path(__file__).resolve().parent.parent
DIST, LOGS = ROOT / "dist", ROOT / "build" / "logs"
PACKAGES = ("hvdtma", "hypergraph", "slurm")


def main() -> None:
    """Build, check, install, train; raises StepError with the end of a failed step's log."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if f"## {version}" not in (ROOT / "CHANGELOG.md").read_text():
        raise StepError(f"CHANGELOG.md has no section on version {version}")
    shutil.rmtree(DIST, ignore_errors=True)
    build: Command = [sys.executable, "-m", "build", "--outdir", DIST, ROOT]
    run_step("build the sdist and the wheel", build, LOGS / "release-build.log")
    sdist, wheel = DIST / f"hvdtma-{version}.tar.gz", DIST / f"hvdtma-{version}-py3-none-any.whl"
    check: Command = [sys.executable, "-m", "twine", "check", "--strict", sdist, wheel]
    run_step("check their metadata", check, LOGS / "release-check.log")
    check_contents(sdist, wheel)
    for package in (wheel, sdist):
        install_and_train(package)
    print(f"{sdist.relative_to(ROOT)} and {wheel.relative_to(ROOT)} are ready")


def check_contents(sdist: Path, wheel: Path) -> None:
    """Raise StepError if the sdist lacks a file of git, or the wheel a module or a config."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {name for name in listed.stdout.split("\0") if name}
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {name for name in files if not name.startswith((".ci/", ".git", "hvdtma/configs"))}
    require(wanted - inside, sdist)
    code = {name for name in files if name.split("/")[0] in PACKAGES and name.endswith(".py")}
    configs = {f"hvdtma/{name}" for name in files if name.startswith("configs/")}
    require((code | configs) - set(zipfile.ZipFile(wheel).namelist()), wheel)


def require(missing: set[str], package: Path) -> None:
    """Raise StepError if files are missing in a package."""
    if missing:
        raise StepError(f"{package.name} lacks {', '.join(sorted(missing)[:10])}")


def install_and_train(package: Path) -> None:
    """Install a package into a clean environment and run the demo there."""
    kind = "wheel" if package.suffix == ".whl" else "sdist"
    with tempfile.TemporaryDirectory(prefix="hvdtma-release-") as name:
        folder = Path(name)
        python = folder / "env" / "bin" / "python"
        make: Command = [sys.executable, "-m", "venv", folder / "env"]
        run_step(f"an environment for the {kind}", make, LOGS / f"release-{kind}-env.log")
        pip: Command = [python, "-m", "pip", "install", "--disable-pip-version-check"]
        install = [*pip, "-c", ROOT / "constraints.txt", package]
        run_step(f"install the {kind}", install, LOGS / f"release-{kind}-install.log")
        (package_configs,) = (folder / "env").glob("lib/*/site-packages/hvdtma/configs")
        shutil.copytree(package_configs, folder / "configs")
        demo: Command = ["env", "-C", folder, python, ROOT / "tools" / "demo.py", "torchrun"]
        run_step(f"the demo from the {kind}", demo, LOGS / f"release-{kind}-demo.log")


if __name__ == "__main__":
    try:
        main()
    except StepError as error:
        sys.exit(f"release: {error}")
