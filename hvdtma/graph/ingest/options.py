"""How to read a graph's inputs: columns, kinds of ids, bad rows, missing values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.dialect import TextOptions

LABEL_KINDS = ("auto", "class", "multi", "real")
FILLS = ("error", "zero", "mean")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options for reading; `FileSource` documents them."""

    src_column: str | None = None
    dst_column: str | None = None
    type_column: str | None = None
    weight_column: str | None = None
    time_column: str | None = None
    id_column: str | None = None
    label_column: str | Sequence[str] | None = None
    label_kind: str = "auto"
    missing_labels: bool = True
    feature_columns: Sequence[str] | None = None
    drop_columns: Sequence[str] = ()
    fill_missing: str = "error"
    delimiter: str | None = None
    quote: str = '"'
    header: str = "auto"
    comment: str = "auto"
    id_type: str = "auto"
    bad_rows: str = "error"
    bad_rows_file: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.src_column is None) != (self.dst_column is None):
            named = self.src_column or self.dst_column
            raise UserError(
                f"only '{named}' is given; give both --src-column and --dst-column, or neither"
            )
        for one, other in combinations(("src", "dst", "type", "weight", "time"), 2):
            column = getattr(self, f"{one}_column")
            if column is not None and column == getattr(self, f"{other}_column"):
                raise UserError(
                    f"--{one}-column and --{other}-column are both '{column}'; give each its own"
                )
        for key, valid in (("label_kind", LABEL_KINDS), ("fill_missing", FILLS)):
            value = getattr(self, key)
            if value not in valid:
                raise UserError(f"{key} is '{value}'; {nearest(value, list(valid))}")

    def check_default(self, keys: Sequence[str], where: str, word: str = "for ") -> None:
        """Raise UserError for an option that was given though it has no effect."""
        defaults = {f.name: f.default for f in fields(self)}
        for key in keys:
            value = getattr(self, key)
            empty = isinstance(value, list | tuple) and not value
            if not empty and value != defaults[key]:
                flag = "no-missing-labels" if key == "missing_labels" else key.replace("_", "-")
                raise UserError(f"--{flag} has no effect {word}{where}")

    def check_no_table(self) -> None:
        """Raise UserError for any option: nothing is read from a table."""
        self.check_default([f.name for f in fields(ReadOptions)], "a table", "without ")

    @property
    def text(self) -> TextOptions:
        """The options for text tables."""
        return TextOptions(self.delimiter, self.quote, self.header, self.comment)

    @property
    def label_columns(self) -> list[str]:
        """The columns of labels that the user names."""
        if self.label_column is None:
            return []
        return [self.label_column] if isinstance(self.label_column, str) else [*self.label_column]


@dataclass(frozen=True)
class GraphInputs(ReadOptions):
    """What to read, and how; `FileSource` documents it."""

    edges: Any = None
    features: Any = None
    labels: Any = None
    splits: Any = None
    undirected: bool = False

    def check_used(self) -> None:
        """Raise UserError for an option that nothing given uses."""
        users = {
            ("label_column", "label_kind", "missing_labels"): ("labels",),
            ("feature_columns", "drop_columns", "fill_missing"): ("features",),
            ("id_column",): ("features", "labels", "splits"),
            ("weight_column",): ("edges",),
            ("type_column", "src_column", "dst_column"): ("edges", "splits"),
            ("time_column",): ("edges", "labels"),
        }
        for keys, inputs in users.items():
            if all(getattr(self, one) is None for one in inputs):
                self.check_default(keys, " or ".join(f"--{one}" for one in inputs), "without ")
        if self.bad_rows_file is not None and self.bad_rows != "skip":
            raise UserError("--bad-rows-file has no effect without --bad-rows skip")

    def origin(self) -> dict[str, object]:
        """The settings that differ from their defaults, for the provenance."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        default = {f.name: f.default for f in fields(self)}
        as_json = {key: _as_json(value) for key, value in given.items()}
        return {"kind": "files"} | {k: v for k, v in as_json.items() if v != _as_json(default[k])}


def _as_json(value: Any) -> object:
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return f"a {type(value).__name__}"
