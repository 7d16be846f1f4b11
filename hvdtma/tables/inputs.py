"""From an argument such as `--edges` to files, a query or a frame.

An argument is a file, a folder of parts (as Spark writes it), a glob, a query `sql:SELECT ...`, an
object with columns (Arrow, pandas, Polars, DuckDB), or a list of these.
"""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hvdtma.core.console import warn
from hvdtma.core.errors import UserError
from hvdtma.tables.columns import ID_NAMES, usual_ends

TEXT = (".csv", ".tsv", ".txt", ".edges", ".edgelist")
ZIPPED = (".gz", ".zst")
OTHER_ZIPPED = (".bz2", ".xz", ".lz4", ".snappy", ".zip", ".br", ".lzo", ".z", ".deflate")
PARQUET = (".parquet", ".pq")
LINES = (".jsonl", ".ndjson")
QUERY = "sql:"
_GLOB = frozenset("*?[")
_NULL = "__HIVE_DEFAULT_PARTITION__"
TABLE_FILES = [*TEXT, *(f"{t}.gz" for t in TEXT), *PARQUET, *LINES, *(f"{x}.gz" for x in LINES)]


@dataclass(frozen=True)
class Input:
    """One part of what was given for an argument.

    Attributes:
        kind: the ending of a file, without compression; "query" or "frame".
        path: the file; None for queries and frames.
        query: the SQL text.
        frame: the object; of a file, its rows as Arrow data if DuckDB does not read them.
        more: further files that are read together with the first one.
        partition: the columns that the names of folders give, as in `year=2020/part-0.csv`; those
            of the first file if others have other values.
        hive: whether these values differ between the files.
    """

    kind: str
    path: Path | None = None
    query: str = ""
    frame: Any = None
    more: tuple[Path, ...] = ()
    partition: Mapping[str, str | None] = field(default_factory=dict)
    hive: bool = False

    @property
    def where(self) -> str:
        """The origin, for messages."""
        if self.path is not None:
            return f"'{self.path}'" + (f" and {len(self.more)} more" if self.more else "")
        return f"the query '{self.query[:60]}'" if self.query else f"the {_type_of(self.frame)}"


def resolve(given: Any, content: str, endings: Sequence[str] = TABLE_FILES) -> list[Input]:
    """The files, queries and frames that an argument names; files of a folder or glob in order.

    Args:
        content: the plural for messages, such as "edges".
        endings: the valid endings of files.

    Raises UserError for a missing file, an unknown ending, a folder or glob without files, and an
    object that has no columns.
    """
    if isinstance(given, str) and given.startswith(QUERY):
        return [Input("query", query=given.removeprefix(QUERY).strip().rstrip(";"))]
    if isinstance(given, str | Path):
        files = [_file(path, content, endings) for path in _paths(given, content, endings)]
        return _with_partitions(files, _base(Path(given).expanduser()))
    if _has_columns(given):
        return [Input("frame", frame=given)]
    if isinstance(given, Sequence) and given and all(_is_input(item) for item in given):
        return [found for item in given for found in resolve(item, content, endings)]
    raise UserError(
        f"{content} are a {_type_of(given)}; valid: a file, a folder, a glob, 'sql:SELECT ...', an "
        "Arrow table, a pandas or Polars frame, a DuckDB relation, or a list of these"
    )


def ending_of(path: Path) -> str:
    """The ending of a file in lower case, without compression: `.csv` for `x.CSV.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in ZIPPED:
        return suffixes[-2]
    return suffixes[-1] if suffixes else ""


def as_arrow(frame: Any) -> pa.Table | pa.RecordBatchReader:
    """The columns of a frame; an index of pandas with names is columns too.

    float16, which DuckDB lacks, becomes float32.
    """
    if isinstance(frame, pa.RecordBatchReader):
        return frame
    try:
        table = _as_table(frame)
        kinds = (lambda of: of, pa.list_, pa.large_list)
        wider = {kind(pa.float16()): kind(pa.float32()) for kind in kinds}
        return table.cast(pa.schema([f.with_type(wider.get(f.type, f.type)) for f in table.schema]))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UserError(f"the {_type_of(frame)} cannot be read as a table: {error}") from None


def _as_table(frame: Any) -> pa.Table:
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if hasattr(frame, "to_arrow_table"):
        return frame.to_arrow_table()
    if hasattr(frame, "to_frame"):  # a Series
        frame = frame.to_frame()
    if not type(frame).__module__.startswith("pandas"):
        return pa.table(frame)
    if None not in frame.index.names:
        frame = frame.reset_index()
    elif _may_hold_ids(frame):
        warn(
            "warning: the index of the DataFrame has no name, so it is not read; if it holds ids, "
            "frame.rename_axis('id') makes a column of it"
        )
    return pa.Table.from_pandas(frame, preserve_index=False)


def _may_hold_ids(frame: Any) -> bool:
    """Whether the index of a pandas frame is text, or numbers that do not count the rows.

    Numbers are those of rows if columns have the usual names of ids: rows were selected or mixed.
    """
    names = list(map(str, frame.columns))
    if getattr(frame.index.dtype, "kind", "O") not in "iu":
        return True
    if usual_ends(names) is not None or any(one.lower() in ID_NAMES for one in names):
        return False
    return not np.array_equal(np.asarray(frame.index), np.arange(len(frame)))


def has_unnamed_index(one: Input) -> bool:
    """Whether an input is a pandas frame with an index that is not read."""
    is_pandas = type(one.frame).__module__.startswith("pandas")
    return is_pandas and None in one.frame.index.names


def index_columns(one: Input) -> list[str]:
    """The columns of an input that were the named index of a pandas frame."""
    frame, schema = one.frame, getattr(one.frame, "schema", None)
    if type(frame).__module__.startswith("pandas"):
        names = list(frame.index.names)
        return [] if None in names else list(map(str, names))
    if one.kind in PARQUET and one.path is not None:
        schema = pq.read_schema(one.path)
    if not isinstance(schema, pa.Schema) or b"pandas" not in (schema.metadata or {}):
        return []
    described = json.loads(schema.metadata[b"pandas"]).get("index_columns", [])
    for column in described:
        if isinstance(column, dict) and column.get("name") is not None:  # a range, only described
            warn(
                f"warning: the index '{column['name']}' of {one.where} is a range of numbers "
                "without values, so it is not read; frame.reset_index() makes a column of it"
            )
    return [column for column in described if isinstance(column, str)]


def _paths(given: str | Path, content: str, endings: Sequence[str]) -> list[Path]:
    path = Path(given).expanduser()
    if path.is_dir():
        files = sorted(found for found in path.rglob("*") if _is_part(found, path))
        valid = {ending_of(Path("x" + ending)) for ending in endings}
        parts = [file for file in files if ending_of(file) in valid]
        _say_others(path, [file for file in files if ending_of(file) not in valid], endings)
        if not parts:
            raise UserError(f"the folder '{path}' has no {content} file; {_valid(endings)}")
        return parts
    if not path.exists() and _GLOB & set(str(path)):
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 - it may be absolute
        found = [Path(match) for match in sorted(matches)]
        if not found:
            raise UserError(f"no {content} file matches '{path}'")
        return [part for match in found for part in _paths(match, content, endings)]
    return [path]


def _base(path: Path) -> Path | None:
    """The folder whose folders below may be partitions; None for a single file."""
    if path.is_dir():
        return path
    if path.exists():
        return None
    fixed = itertools.takewhile(lambda part: not _GLOB & set(part), path.parts)
    return Path(*fixed)


def _with_partitions(files: list[Input], base: Path | None) -> list[Input]:
    """The files with the columns that the names of their folders give, as Hive writes them.

    Warns of those that only some of the files have; they are not read.
    """
    if base is None:
        return files
    found = []
    for file in files:
        folders = file.path.parent.relative_to(base).parts if file.path is not None else ()
        pairs = [folder.split("=", 1) for folder in folders if "=" in folder.strip("=")]
        found.append({name: None if value == _NULL else unquote(value) for name, value in pairs})
    common = [name for name in found[0] if all(name in one for one in found)]
    others = sorted({name for one in found for name in one if name not in common})
    if others:
        warn(
            f"warning: folders of '{base}' name {', '.join(map(repr, others))} for some of the "
            "files only, so it is no column"
        )
    return [
        replace(file, partition={name: one[name] for name in common})
        for file, one in zip(files, found, strict=True)
    ]


def _is_part(path: Path, folder: Path) -> bool:
    """Whether a file holds data; Spark's and the system's own files begin with `_` or `.`."""
    names = path.relative_to(folder).parts
    return path.is_file() and not any(name.startswith(("_", ".")) for name in names)


def _say_others(folder: Path, others: list[Path], endings: Sequence[str]) -> None:
    """Warn of files of a folder that are not read; raise UserError if they look like parts."""
    if not others:
        return
    names = ", ".join(str(file.relative_to(folder)) for file in others[:5])
    shown = names + f" and {len(others) - 5} more" * (len(others) > 5)
    if any(map(_may_be_part, others)):
        raise UserError(
            f"the folder '{folder}' has files that may be parts but have another ending: {shown}; "
            f"{_valid(endings)}. Rename or decompress them, move them away, or give a glob of the "
            "files to read"
        )
    warn(f"warning: not read in '{folder}': {shown}")


def _may_be_part(file: Path) -> bool:
    """Whether a file without a valid ending looks like data; README and LICENSE do not."""
    if file.suffix:
        return file.suffix.lower() in OTHER_ZIPPED or file.name.startswith("part-")
    return not file.name.isupper()


def _file(path: Path, content: str, endings: Sequence[str]) -> Input:
    ending = ending_of(path)
    zipped = path.suffix.lower() if path.suffix.lower() in ZIPPED else ""
    known = ending + zipped in endings or (zipped == ".zst" and ending + ".gz" in endings)
    if not known:
        raise UserError(f"{content} file '{path}' has an unknown ending; {_valid(endings)}")
    if not path.is_file():
        raise UserError(f"there is no {content} file '{path}'")
    return Input(ending, path)


def _valid(endings: Sequence[str]) -> str:
    return f"valid: {', '.join(endings)}"


def _is_input(item: Any) -> bool:
    return isinstance(item, str | Path) or _has_columns(item)


def _has_columns(given: Any) -> bool:
    if isinstance(given, pa.Table | pa.RecordBatch) or hasattr(given, "__arrow_c_stream__"):
        return True
    return type(given).__module__.startswith("pandas") or hasattr(given, "to_arrow_table")


def _type_of(given: Any) -> str:
    return type(given).__name__
