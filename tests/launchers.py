"""Commands under horovodrun and torchrun."""

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
COMMANDS = {
    "horovodrun": ("horovodrun", "-np"),
    "torchrun": ("torchrun", "--no-python", "--nproc-per-node"),
}
TRAIN = (sys.executable, "-m", "hvdtma", "train")


def environment(**more: str) -> dict[str, str]:
    """Of a user who has this Python and this package on the path."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | more


def launched(launcher: str, size: int, *command: object) -> subprocess.CompletedProcess:
    """Run a command as so many trainers, to its end."""
    return subprocess.run(
        [*COMMANDS[launcher], str(size), *map(str, command)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=250,
    )
