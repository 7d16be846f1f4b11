"""Bad files for every command that reads tables or configs: a grammar of contents, and damage.

Legend: N rows, K columns.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hypothesis import strategies as st

from faults import rules
from faults.bad_values import COPIED, TABLES, left_well, limit_memory
from faults.drawn import drawn
from faults.kinds import Kind
from faults.lab import Lab
from faults.preloaded import Entry, hvdtma, hypergraph, run

CELLS = (
    *("", " ", "0", "1", "-1", "7", "p1", "p2", "1.5", "nan", "NaN", "inf", "-inf", "NA", "null"),
    *("1e400", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 400),
    *(
        "True",
        "2020-01-01",
        "'",
        '"',
        '""',
        'a"b',
        "a,b",
        "a\tb",
        "a\nb",
        "#",
        "%x",
        "é",
        "包",
        "\x00",
    ),
    *("\x1b[31m", "\ufeff", "\u202e", "[1, 2]", "{}", "a" * 5000),
)
NAMES = (
    "src",
    "dst",
    "id",
    "node_id",
    "label",
    "x",
    "y",
    "type",
    "weight",
    "time",
    "",
    " src",
    "é",
    "0",
)
ENDINGS = (
    ".csv",
    ".tsv",
    ".txt",
    ".csv.gz",
    ".json",
    ".jsonl",
    ".parquet",
    ".npy",
    ".npz",
    ".bin",
    "",
)
ENCODINGS = ("utf-8", "utf-8-sig", "latin-1", "utf-16", "cp037")
DAMAGES = ("none", "none", "none", "cut", "flipped", "doubled", "zeros", "empty")


@dataclass(frozen=True)
class BadFile:
    """A file for one place of a command.

    Attributes:
        place: a key of `PLACES`.
        ending: of the file's name.
        form: a key of `FORMS`.
        names, rows: of the table.
        encoding: of text.
        damage: what happens to the bytes, at the share `at` of them.
    """

    place: str
    ending: str
    form: str
    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    encoding: str
    damage: str
    at: float


def _text(file: BadFile, delimiter: str, end: str = "\n", quote: str = "") -> bytes:
    lines = [file.names, *file.rows] if file.names else file.rows
    shown = (delimiter.join(f"{quote}{cell}{quote}" for cell in line) for line in lines)
    return (end.join(shown) + end).encode(file.encoding, errors="replace")


def _json_lines(file: BadFile) -> bytes:
    rows = (dict(zip(file.names or ("src",), row, strict=False)) for row in file.rows)
    return "\n".join(json.dumps(row) for row in rows).encode(file.encoding, errors="replace")


def _json_of_lists(file: BadFile) -> bytes:
    return json.dumps({str(row[0]) if row else "": list(row) for row in file.rows}).encode()


def _parquet(file: BadFile) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for number, name in enumerate(file.names):
        values = [row[number] if number < len(row) else None for row in file.rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            columns[name] = pa.array([str(value) for value in values])
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def _array(file: BadFile) -> Any:
    import numpy as np

    width = max((len(row) for row in file.rows), default=0)
    padded = [[*row, *[0] * (width - len(row))] for row in file.rows]
    try:
        return np.array(padded, dtype=float)
    except (ValueError, OverflowError):
        return np.array(padded, dtype=object if file.at < 0.3 else str)


def _npy(file: BadFile) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.save(out, _array(file))
    return out.getvalue()


def _npz(file: BadFile) -> bytes:
    import numpy as np

    out = io.BytesIO()
    names = [name.replace("/", "-") or "arr_0" for name in file.names] or ["arr_0"]
    np.savez(out, **dict.fromkeys(names, _array(file)))
    return out.getvalue()


def _yaml(file: BadFile) -> bytes:
    values = {name: [list(row) for row in file.rows] for name in file.names} or list(file.rows)
    return yaml.safe_dump(values, allow_unicode=True).encode(file.encoding, errors="replace")


FORMS: dict[str, Callable[[BadFile], bytes]] = {
    "commas": lambda file: _text(file, ","),
    "quoted": lambda file: _text(file, ",", quote='"'),
    "tabs": lambda file: _text(file, "\t"),
    "semicolons, CRLF": lambda file: _text(file, ";", "\r\n"),
    "CR": lambda file: _text(file, ",", "\r"),
    "blanks": lambda file: _text(file, "  "),
    "JSON lines": _json_lines,
    "JSON of lists": _json_of_lists,
    "Parquet": _parquet,
    "NPY": _npy,
    "NPZ": _npz,
    "YAML": _yaml,
}
USUAL = {  # the form that an ending stands for
    ".csv": "commas",
    ".tsv": "tabs",
    ".txt": "blanks",
    ".csv.gz": "commas",
    ".json": "JSON of lists",
    ".jsonl": "JSON lines",
    ".parquet": "Parquet",
    ".npy": "NPY",
    ".npz": "NPZ",
}


def content(file: BadFile) -> bytes:
    """The bytes of a file, with its damage."""
    data = FORMS[file.form](file)
    if file.ending.endswith(".gz"):
        data = gzip.compress(data)
    place = int(file.at * len(data))
    damaged = {
        "none": data,
        "cut": data[:place],
        "flipped": data[:place]
        + bytes(255 - byte for byte in data[place : place + 1])
        + data[place + 1 :],
        "doubled": data + data,
        "zeros": data[:place] + bytes(64) + data[place:],
        "empty": b"",
    }
    return damaged[file.damage]


BUILD = ("build", "new.zarr", "--valid", 2, "--test", 2, "--negatives", 3)
PLACES: dict[str, Callable[[str], Entry]] = {
    "edges": lambda name: hvdtma(*BUILD, "--edges", name),
    "edges with types": lambda name: hvdtma(
        *BUILD, "--edges", name, "--type-column", "type", "--weight-column", "weight"
    ),
    "edges with times": lambda name: hvdtma(
        *BUILD, "--edges", name, "--time-column", "time", "--split", "time"
    ),
    "skipped rows": lambda name: hvdtma(*BUILD, "--edges", name, "--bad-rows", "skip"),
    "features": lambda name: hvdtma(*BUILD, "--edges", "edges.csv", "--features", name),
    "labels": lambda name: hvdtma(
        *BUILD, "--edges", "edges.csv", "--labels", name, "--hold-out", "nodes"
    ),
    "splits": lambda name: hvdtma("build", "new.zarr", "--splits", name),
    "pairs": lambda name: hvdtma("predict", "run", "--pairs", name, "--out", "new.parquet"),
    "ids": lambda name: hvdtma("recommend", "run", "--nodes", name, "--out", "new.csv"),
    "config": lambda name: hvdtma("train", name, "run=new", "rounds=1", "interval_steps=1"),
    "config of HyperLearn": lambda name: hypergraph("train", name, "run=new", "iterations=2"),
    "cluster": lambda name: hvdtma("submit", "train.yaml", "--dry-run", "--cluster-config", name),
    "hyperedges": lambda name: hypergraph("info", _fit_config({"table": name})),
    "graph of a modality": lambda name: hypergraph("info", _fit_config({}, {"edges": name})),
    "features of a modality": lambda name: hypergraph("info", _fit_config({}, {"features": name})),
}


def _fit_config(relation: dict[str, Any], work: dict[str, Any] | None = None) -> str:
    """A config of tables; returns its name. Written by the command's process, in its folder."""
    made = {"table": "made.csv", "columns": ["work", "artist"], "split": "part"} | relation
    tables = {"modalities": {"work": work, "artist": None}, "relations": {"made": made}}
    values = {"data": {"tables": tables}, "run": "new", "iterations": 2}
    Path("tables.yaml").write_text(yaml.safe_dump(values))
    return "tables.yaml"


@st.composite
def bad_file(draw: st.DrawFn) -> BadFile:
    """A file that is nearly right, or is not."""
    place = draw(st.sampled_from(sorted(PLACES)))
    ending = draw(st.sampled_from(ENDINGS))
    form = USUAL.get(ending, "commas") if draw(st.integers(0, 3)) else None
    width = draw(st.integers(0, 4))
    good = st.sampled_from([f"p{number}" for number in range(12)])
    number = st.one_of(st.integers(), st.floats(), st.booleans(), st.none())
    cell = st.one_of(good, good, good, st.sampled_from(CELLS), number)
    row = st.lists(cell, min_size=width, max_size=width)
    ragged = st.one_of(row, row, row, row, st.lists(cell, max_size=6))
    rows = draw(st.lists(ragged, max_size=12))
    usual = (
        ("src", "dst", "type", "weight")
        if "edge" in place or place == "pairs"
        else ("id", "x", "label")
    )
    names = draw(st.one_of(st.just(usual[:width]), st.lists(st.sampled_from(NAMES), max_size=4)))
    return BadFile(
        place,
        ending,
        form or draw(st.sampled_from(sorted(FORMS))),
        tuple(names),
        tuple(map(tuple, rows)),
        draw(st.sampled_from(ENCODINGS)) if draw(st.integers(0, 2)) == 0 else "utf-8",
        draw(st.sampled_from(DAMAGES)),
        draw(st.floats(0, 1, exclude_max=True)),
    )


def draw(random: Random, number: int) -> list[BadFile]:
    return drawn(bad_file(), random, number)


def survives(lab: Lab, folder: Path, case: BadFile) -> str:
    """A bad file is one message, and nothing half-made; a store that is built is complete."""
    for name in (*COPIED, *TABLES, "ids.csv", "made.csv"):
        lab.copy(name, folder)
    name = f"bad{case.ending}"
    (folder / name).touch()
    (folder / "tables.yaml").touch()
    before = rules.listing(folder)

    def entry() -> None:
        Path(name).write_bytes(content(case))
        PLACES[case.place](name)()

    ended = run(entry, folder, before=limit_memory)
    command = ("train",) if "config" in case.place else ("build",)
    broken = rules.says_well(ended) or left_well(ended, before, folder, command)
    if not broken and (folder / "new.zarr").exists():
        verified = run(hvdtma("verify", "new.zarr"), folder)
        broken = rules.succeeded(verified)
    return broken


def kinds() -> list[Kind]:
    return [Kind("bad files", 12, 200, draw, survives)]
