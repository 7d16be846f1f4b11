"""Write the public names with their signatures to tests/public_api.txt.

    python tools/public_api.py

A test compares the file with the code. A change of a public name is also a line in CHANGELOG.md.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from pydantic import BaseModel

FILE = Path(__file__).resolve().parent.parent / "tests" / "public_api.txt"
PACKAGES = ("hvdtma", "hypergraph")
# What users' own classes implement (docs/api.md), and what submits jobs from Python.
OTHERS = (
    "hvdtma.models.encoder.Encoder",
    "hvdtma.tasks.task.Task",
    "hvdtma.sampling.sampler.Sampler",
    "hvdtma.partitioning.method.PartitionMethod",
    "hvdtma.aggregate.aggregator.Aggregator",
    "slurm.submission.submit",
    "slurm.submission.Submission",
)


def public_api() -> str:
    """One line for every public name, method and property, sorted within each class."""
    lines = []
    for package in map(importlib.import_module, PACKAGES):
        for name in sorted(package.__all__):
            if not name.startswith("__"):
                lines += entry(f"{package.__name__}.{name}", getattr(package, name))
    for path in OTHERS:
        module, _, name = path.rpartition(".")
        lines += entry(path, getattr(importlib.import_module(module), name))
    return "\n".join(lines) + "\n"


def entry(path: str, value: object) -> list[str]:
    """The lines of a function or of a class with its public members."""
    if not inspect.isclass(value):
        return [f"{path}{signature(value)}"]
    if issubclass(value, BaseModel):
        fields = value.model_fields.items()
        return [
            f"class {path}",
            *(
                f"    {name} = {field.get_default(call_default_factory=True)!r}"
                for name, field in fields
            ),
        ]
    lines = [f"class {path}{signature(value)}"]
    for name, member in inspect.getmembers(value):
        if name.startswith("_") or not belongs(value, name):
            continue
        if isinstance(member, property) or not callable(member):
            lines.append(f"    {name}")
        else:
            lines.append(f"    {name}{signature(member)}")
    return lines


def belongs(of: type, name: str) -> bool:
    """Whether a member is the project's own, not of PyTorch, pydantic or Python."""
    owner = next(base for base in of.__mro__ if name in vars(base))
    return owner.__module__.split(".")[0] in (*PACKAGES, "slurm")


def signature(of: object) -> str:
    """The parameters; the annotations as they are written."""
    try:
        written = str(inspect.signature(of))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r"<function .*? at 0x[0-9a-f]+>", "<function>", written)


if __name__ == "__main__":
    FILE.write_text(public_api(), encoding="utf-8")
    print(f"{FILE.name}: {len(FILE.read_text().splitlines())} lines")
