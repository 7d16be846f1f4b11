"""The rules that hold after a fault. A broken rule is a sentence; an empty one says that all hold.

- A command ends with status 0, or with status 2 and one message (75 after a signal): never with a
  traceback, by a signal of its own, or not at all.
- What is refused leaves nothing behind; what is written is complete.
- What is used is what was written: the results are those of an undisturbed run, to the bit.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from faults.preloaded import Ended

INTERRUPTED = 75
TEMPORARY = re.compile(r"\.(partial|old|lock)$|^\.scratch")
LAST_LINES = 6


def says_well(ended: Ended, *, allowed: tuple[int, ...] = (0, 2)) -> str:
    """Whether a command has ended, with an allowed status, and one message if it refused."""
    if ended.status is None:
        return f"did not end in {ended.seconds:.0f} s: {ended.err[-1500:]}"
    if "Traceback (most recent call last)" in ended.err + ended.out:
        return f"a traceback (status {ended.status}): {_last(ended.err)}"
    if ended.status not in allowed:
        return f"status {ended.status}: {_last(ended.err)}"
    if ended.status == 2:
        messages = len(re.findall(r"^error: ", ended.err, re.MULTILINE))
        usage = ended.err.count("Usage: ")
        if messages + usage != 1:
            return f"{messages + usage} messages: {_last(ended.err)}"
    return ""


def succeeded(ended: Ended) -> str:
    """Whether a command has ended with status 0."""
    return says_well(ended, allowed=(0,)) or (
        f"refused: {_last(ended.err)}" if ended.status else ""
    )


def _last(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-LAST_LINES:])


def listing(folder: Path) -> set[str]:
    """The names of everything in a folder, at any depth."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def nothing_new(before: set[str], folder: Path) -> str:
    """Whether a refused command has left nothing behind."""
    new = sorted(listing(folder) - before)
    return f"left behind: {', '.join(new[:4])}" if new else ""


def nothing_temporary(folder: Path) -> str:
    """Whether no temporary file, folder or lock is left."""
    found = sorted(name for name in listing(folder) if TEMPORARY.search(name.rpartition("/")[2]))
    return f"left behind: {', '.join(found[:4])}" if found else ""


def content(path: Path) -> str | None:
    """A digest of what was written: of a file, a store, or a hypergraph; None if nothing is there.

    The time at which a store was built, and the command, do not count.
    """
    if not path.exists():
        return None
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file() and file != path / "zarr.json":
            found.update(str(file.relative_to(path)).encode() + file.read_bytes())
    attrs = json.loads((path / "zarr.json").read_text())["attributes"]
    found.update(json.dumps([attrs.get("graph"), attrs.get("checksums")]).encode())
    return found.hexdigest()


def learned(run: Path) -> dict[str, object]:
    """What a run has learned: the parameters of its rounds, to the bit, and its scores."""
    files = [*sorted((run / "rounds").glob("*.safetensors")), *run.glob("best.safetensors")]
    summary = json.loads((run / "summary.json").read_text())
    rounds = [event["round"] for event in events(run) if event["kind"] == "round"]
    return {
        "parameters": {file.name: tensors(file) for file in files},
        "scores": [summary["best_round"], summary["valid"], summary["test"]],
        "rounds": rounds,
    }


def fitted(run: Path) -> dict[str, object]:
    """What a run of HyperLearn has learned, to the bit, and its scores."""
    summary = json.loads((run / "summary.json").read_text())
    return {"parameters": tensors(run / "model.safetensors"), "test": summary["test"]}


def events(run: Path) -> list[dict]:
    """The events of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def tensors(file: Path) -> str:
    """A digest of the tensors of a safetensors file, without its header, which has times."""
    data = file.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


def same(found: object, expected: object, what: str) -> str:
    """Whether two values are equal."""
    return "" if found == expected else f"{what} is not that of an undisturbed run"
