"""Facts about a store that a config needs before the store is opened."""

from __future__ import annotations

import json
from pathlib import Path


def has_node_types(store: Path) -> bool:
    """Whether a store is one of a typed graph; False if there is no store."""
    try:
        attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError):
        return False
    return "schema" in attributes
