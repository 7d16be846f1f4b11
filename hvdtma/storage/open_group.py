"""Open a group that `StoreWriter` wrote, and notice damage of its metadata.

The arrays' values have digests of their own (`ArrayDigests`), which `ChunkReader` and
`hvdtma verify` compare.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zarr

from hvdtma.core.digests import damaged, digest_of, without_digest
from hvdtma.core.errors import UserError

METADATA = "zarr.json"
GROUP = {"zarr_format": 3, "node_type": "group"}
REMEDY = "; build it again"


class NoGroup(Exception):
    """A folder is not a group that `StoreWriter` wrote."""


def read_attributes(path: Path) -> dict[str, Any]:
    """The attributes of a group, compared with their digest.

    Raises NoGroup if the folder holds no such group, and UserError for damage.
    """
    file = path / METADATA
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NoGroup(f"it is no Zarr group, for it has no {METADATA}") from None
    try:
        metadata = json.loads(content)
        attributes = metadata.pop("attributes")
        is_group = metadata == GROUP
    except (ValueError, AttributeError, KeyError, TypeError):
        raise damaged(file, REMEDY) from None
    if "format" not in attributes and "digest" not in attributes:
        raise NoGroup("it is a Zarr group, but not one that 'hvdtma build' wrote")
    if is_without_digests(attributes):
        return attributes
    if not is_group:
        raise damaged(file, REMEDY)
    return without_digest(attributes, file, REMEDY)


def is_without_digests(attributes: dict[str, Any]) -> bool:
    """Whether a group is of format version 1, which had digests of the arrays' values only."""
    return "digest" not in attributes and attributes.get("format_version") == 1


def open_array(path: Path, group: zarr.Group, name: str, metadata: str | None) -> zarr.Array:
    """An array of a group.

    Args:
        metadata: the digest of the array's zarr.json; None for a group without digests.

    Raises UserError if the array's metadata is damaged.
    """
    file = path / name / METADATA
    try:
        intact = metadata is None or digest_of(file.read_bytes()) == metadata
        array = group[name] if intact else None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        array = None
    if not isinstance(array, zarr.Array):
        raise UserError(f"{path}: array '{name}' is damaged: {file} has changed{REMEDY}")
    return array
