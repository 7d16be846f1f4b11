"""`pip install` that compares each package with the hash it had when it was tried out.

pip checks hashes only where every requirement has one, which the project itself, PyTorch of any
index, and wheels that are built here cannot have. So pip first says which packages it would take;
those with hashes in hashes.txt are installed by their hashes, and pip then adds the others.
`make hashes` writes hashes.txt from constraints.txt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from steps import Command, run_step

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS, HASHES = ROOT / "constraints.txt", ROOT / "hashes.txt"


def pip_install(python: Path, label: str, log: Path, words: Sequence[str]) -> None:
    """Run `pip install` with the versions of constraints.txt, and the hashes of hashes.txt.

    Args:
        log: of the last step; those of the others lie beside it.
        words: requirements and options of pip.

    Raises StepError if a package cannot be had, or is not the one that was tried out.
    """
    pip: Command = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    report = log.with_suffix(".json")
    plan: Command = [*pip, "--dry-run", "--report", report, "-c", CONSTRAINTS, *words]
    run_step(f"{label}: find versions", plan, log.with_suffix(".plan.log"))
    found = json.loads(report.read_text())["install"]
    hashed = read_hashes(HASHES.read_text())
    pins = [pin_of(each) for each in found if not is_this_project(each)]
    lines = [hashed[pin] for pin in pins if pin in hashed]
    others = [pin for pin in pins if pin not in hashed]
    if others:
        print(f"  not in hashes.txt, so taken without a hash: {', '.join(others)}", flush=True)
    if lines:
        wanted = log.with_suffix(".txt")
        wanted.write_text("\n".join(lines) + "\n")
        checked: Command = [*pip, "--no-deps", "--require-hashes", "-r", wanted]
        run_step(f"{label}: {len(lines)} by hash", checked, log.with_suffix(".hashed.log"))
    run_step(label, [*pip, "-c", CONSTRAINTS, *words], log)


def is_this_project(found: dict) -> bool:
    """Whether a package in pip's report is the folder of this project."""
    return "dir_info" in found["download_info"]


def pin_of(found: dict) -> str:
    """The pin `name==version` of a package in pip's report."""
    about = found["metadata"]
    return f"{normal(about['name'])}=={about['version']}"


def read_hashes(text: str) -> dict[str, str]:
    """Pin -> requirement with its hashes."""
    requirements = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition("==")
            version = re.split(r"[\s;]", rest.strip(), maxsplit=1)[0]
            hashes = " ".join(re.findall(r"--hash=\S+", rest))
            requirements[f"{normal(name)}=={version}"] = f"{name.strip()}=={version} {hashes}"
    return requirements


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
