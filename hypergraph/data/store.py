"""A hypergraph on disk: one Zarr v3 group, written atomically and read lazily.

    modality/{number}/ids/{values | offsets,utf8}                   optional
    modality/{number}/features | features/{indptr,indices,data,shape}   dense or sparse; optional
    modality/{number}/{edges,weights}                               optional
    relation/{number}/{indices,values,part}                         the last two optional

Names, sizes and recipes are attributes of the group. The arrays and the attributes have checksums,
which are verified when they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import zarr

from hvdtma.core.digests import digest_of_json
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.storage.array_writer import digest
from hvdtma.storage.chunks import ChunkReader, DamagedChunk
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter
from hypergraph.data.content import arrays_of, description, fields
from hypergraph.data.intra import GraphRecipe, Intra
from hypergraph.data.lazy import Unread
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation

FORMAT = "hvdtma-hypergraph"
FORMAT_VERSION = 1
DAMAGE = (
    DamagedChunk, ValueError, RuntimeError, LookupError, TypeError, AttributeError, OSError,
)  # fmt: skip


def save(
    modalities: Mapping[str, Modality],
    relations: Mapping[str, Relation],
    path: str | Path,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a hypergraph, atomically.

    Raises UserError if `path` exists (unless it is a store and `overwrite` is true), and if the
    disk is full or cannot be written.
    """
    path = expanded(path)
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; give overwrite=True to replace it, or another name")
    described = description(modalities, relations)
    attrs = {"format_version": FORMAT_VERSION, "content": described}
    with StoreWriter(path, overwrite, FORMAT, dict(attrs)) as writer:
        for name, owner, field in fields(modalities, relations):
            for array_name, array in arrays_of(name, getattr(owner, field)).items():
                writer.put(array_name, array)
        checked = {"content": described, "checksums": writer.attrs["checksums"]}
        writer.attrs["content_checksum"] = digest_of_json(checked)
    return path


def open_saved(path: str | Path) -> tuple[list[Modality], list[Relation]]:
    """The modalities and relations of a saved hypergraph; arrays are read on first access.

    Raises UserError if `path` is no such store, or a damaged one. Damage of an array is found when
    the array is read; the error names it.
    """
    folder = expanded(path)
    group = _opened(folder)
    content = cast(dict[str, Any], group.attrs["content"])
    saved = _Saved(folder, group, cast(dict[str, str], group.attrs["checksums"]))
    modalities = []
    for number, kept in enumerate(content["modalities"]):
        at = f"modality/{number}"
        intra = None
        if kept["has_intra"]:
            recipe = GraphRecipe(**kept["recipe"]) if kept["recipe"] else None
            intra = Intra(saved.field(f"{at}/edges"), saved.field(f"{at}/weights"), recipe)
        ids, features = saved.field(f"{at}/ids"), saved.field(f"{at}/features")
        modalities.append(Modality(kept["name"], kept["num_items"], ids, features, intra))
    relations = [
        Relation(
            kept["name"],
            tuple(kept["modalities"]),
            saved.field(f"relation/{number}/indices"),
            saved.field(f"relation/{number}/values"),
            saved.field(f"relation/{number}/part"),
            kept["num_repeats"],
        )
        for number, kept in enumerate(content["relations"])
    ]
    return modalities, relations


class _Saved:
    """The arrays of an opened store."""

    def __init__(self, folder: Path, group: zarr.Group, checksums: dict[str, str]):
        self.folder, self.group, self.checksums = folder, group, checksums

    def field(self, path: str) -> Any:
        """A field that is not read yet; None if it was saved as None."""
        tails = {
            name.removeprefix(path): found
            for name, found in self.checksums.items()
            if name == path or name.startswith(path + "/")
        }
        if not tails:
            return None
        rows = self._opened(path).shape[0] if "" in tails else -1
        return Unread(partial(self.read, path, tails), rows, tails)

    def read(self, path: str, tails: dict[str, str]) -> Any:
        """Read a field's value; raises UserError, naming the array, if it is damaged."""
        arrays = {tail.strip("/"): self._array(path + tail) for tail in tails}
        if "" in arrays:
            return arrays[""]
        if path.endswith("/ids"):
            ids = NodeIds.from_arrays(arrays)
            return np.array(ids.to_list()) if ids.are_strings else arrays["values"]
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        return sp.csr_array(parts, shape=tuple(arrays["shape"].tolist()))

    def _opened(self, name: str) -> zarr.Array:
        with _naming_damage(self.folder, name):
            return cast(zarr.Array, self.group[name])

    def _array(self, name: str) -> np.ndarray:
        with _naming_damage(self.folder, name):
            values = ChunkReader(self.folder / name, self._opened(name))[:]
        if digest(values) != self.checksums[name]:
            raise _damaged(self.folder, f"array '{name}' has changed since it was written")
        return values


@contextmanager
def _naming_damage(folder: Path, name: str) -> Iterator[None]:
    """Turn errors of a damaged array into a UserError that names the array."""
    try:
        yield
    except DAMAGE as error:
        raise _damaged(folder, f"array '{name}' cannot be read: {error}") from error


def _opened(path: Path) -> zarr.Group:
    if not path.exists():
        raise UserError(f"there is no hypergraph at {path}; graph.save(path) writes one")
    try:
        group = zarr.open_group(path, mode="r")
        attrs = dict(group.attrs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no hypergraph: it is no Zarr group ({error})") from error
    if attrs.get("format") != FORMAT:
        raise UserError(
            f"{path} is a Zarr group, but no hypergraph: its format is "
            f"'{attrs.get('format')}', not '{FORMAT}'"
        )
    version = attrs.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}; this version of hypergraph reads up to "
            f"{FORMAT_VERSION}: upgrade it, or save the hypergraph again"
        )
    checked = {name: attrs.get(name) for name in ("content", "checksums")}
    if digest_of_json(checked) != attrs.get("content_checksum"):
        raise _damaged(path, "its names and sizes have changed since they were written")
    for name in cast(dict[str, str], attrs["checksums"]):
        if not (path / name / "zarr.json").is_file():
            raise _damaged(path, f"array '{name}' is missing")
    return group


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is damaged: {what}; save it again")
