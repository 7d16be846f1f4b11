"""The versions that a run was made with."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hvdtma.core.version import __version__

FORMAT = "hvdtma-run"  # in versions.json: marks a folder as a run
PACKAGES = ("torch", "horovod", "dgl", "zarr", "numpy", "pyarrow")


def versions() -> dict:
    """Versions of the packages, the command line, and the state of the git checkout."""
    return {
        "format": FORMAT,
        "hvdtma": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in PACKAGES},
        "command": sys.argv,
        "git": git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_state() -> dict | None:
    """Commit of hvdtma's checkout and whether files were changed; None without a checkout."""
    here = Path(__file__).parent
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(here), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(status)}
