"""Files that are whole or not there: written beside, then renamed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to; becomes `path` when the block ends well."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; numbers that are not finite become null."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(finite(value), indent=2) + "\n")


def append_json(path: Path, value: Any) -> None:
    """Add one line of JSON; numbers that are not finite become null."""
    with path.open("a") as file:
        file.write(json.dumps(finite(value)) + "\n")


def finite(value: Any) -> Any:
    """The same value with NaN and infinities as None, at any depth: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
