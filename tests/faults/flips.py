"""One bit of one file is flipped: the damage is refused, or makes no difference to any result."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from faults import rules
from faults.kinds import Kind
from faults.lab import LONG_S, ROUNDS, Lab
from faults.preloaded import Ended, Entry, called, hvdtma, hypergraph, run


@dataclass(frozen=True)
class Reader:
    """A command that reads an example.

    Attributes:
        example: of the lab.
        entry: the command, on a copy of the example in the folder of a case.
        result: what it says or makes, from the folder and the ended command.
        files: pattern of the files that are flipped.
    """

    name: str
    example: str
    entry: Callable[[Lab], Entry]
    result: Callable[[Path, Ended], object]
    files: str = "*"


def printed(folder: Path, ended: Ended) -> object:
    """What a command has printed, without times."""
    return re.sub(r"[0-9.]+ s\b", "", ended.out)


def written(folder: Path, ended: Ended) -> object:
    return rules.content(folder / "out.parquet") or rules.content(folder / "out.zarr")


def learned(name: str, folder: Path, ended: Ended) -> object:
    found = rules.learned(folder / name)
    return [found["scores"], found["parameters"]]


def nothing(folder: Path, ended: Ended) -> object:
    """A page that people read: nothing is computed from it."""
    return None


def use_pretrained() -> None:
    import hvdtma as package

    pretrained = package.from_pretrained("model")
    print([round(float(value), 6) for value in next(pretrained.model.parameters()).flatten()])


def open_hypergraph() -> None:
    from hypergraph import MultimodalHypergraph

    print(MultimodalHypergraph.open("hyper.zarr").checksum())


TRAIN_SHORTLY = ("rounds=2", "run=run", "store=graph.zarr", "--in-process", 2)
COMPLETE = ("complete", "fit", "--missing", "artist", "work=3")
READERS = [
    Reader("verify", "graph.zarr", lambda lab: hvdtma("verify", "graph.zarr"), printed),
    Reader("info", "graph.zarr", lambda lab: hvdtma("info", "graph.zarr"), printed),
    Reader(
        "partition",
        "graph.zarr",
        lambda lab: hvdtma("partition", "graph.zarr", "out.zarr"),
        written,
    ),
    Reader(
        "train",
        "graph.zarr",
        lambda lab: hvdtma("train", lab.config, *TRAIN_SHORTLY),
        partial(learned, "run"),
    ),
    Reader("evaluate", "run", lambda lab: hvdtma("evaluate", "run"), printed),
    Reader("embed", "run", lambda lab: hvdtma("embed", "run", "--out", "out.parquet"), written),
    Reader("recommend", "run", lambda lab: hvdtma("recommend", "run", "--node", 5), printed),
    Reader(
        "resume",
        "early",
        lambda lab: hvdtma("train", "--resume", "early", f"rounds={ROUNDS}", "--in-process", 2),
        partial(learned, "early"),
        "checkpoints/**/*",
    ),
    Reader("report", "run", lambda lab: hvdtma("report", "run"), nothing),
    Reader("pretrained", "model", lambda lab: called(use_pretrained), printed),
    Reader("hypergraph", "hyper.zarr", lambda lab: called(open_hypergraph), printed),
    Reader("evaluate of HyperLearn", "fit", lambda lab: hypergraph("evaluate", "fit"), printed),
    Reader("complete", "fit", lambda lab: hypergraph(*COMPLETE), printed),
    Reader(
        "resume of HyperLearn",
        "early_fit",
        lambda lab: hypergraph("train", "--resume", "early_fit", "iterations=30"),
        lambda folder, ended: rules.fitted(folder / "early_fit"),
        "checkpoint.safetensors",
    ),
    Reader("report of HyperLearn", "fit", lambda lab: hypergraph("report", "fit"), nothing),
]


@dataclass(frozen=True)
class Flip:
    """A bit of a file, both as shares: of the files of an example, and of the file's bits."""

    reader: str
    file: float
    bit: float


def draw(random: Random, number: int) -> list[Flip]:
    """Readers in turn; files alike, whatever their size."""
    return [
        Flip(READERS[place % len(READERS)].name, random.random(), random.random())
        for place in range(number)
    ]


def undamaged(lab: Lab, reader: Reader) -> Any:
    """What a command makes of the example as it is."""

    def make(folder: Path) -> object:
        lab.copy(reader.example, folder)
        ended = run(reader.entry(lab), folder, limit_s=LONG_S)
        if broken := rules.succeeded(ended):
            raise RuntimeError(f"undamaged {reader.name}: {broken}")
        return reader.result(folder, ended)

    return lab.remembered(f"undamaged {reader.name}", make)


def survives(lab: Lab, folder: Path, flip: Flip) -> str:
    """The damage is refused by one message, or makes no difference."""
    reader = next(reader for reader in READERS if reader.name == flip.reader)
    expected = undamaged(lab, reader)
    example = lab.copy(reader.example, folder)
    files = sorted(path for path in example.rglob(reader.files) if path.is_file())
    files = [path for path in files if path.stat().st_size]
    file = files[int(flip.file * len(files))]
    content = bytearray(file.read_bytes())
    bit = int(flip.bit * len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    ended = run(reader.entry(lab), folder, limit_s=LONG_S)
    broken = rules.says_well(ended)
    if not broken and ended.status == 0:
        broken = rules.same(reader.result(folder, ended), expected, "the result")
        if reader.name == "verify":
            broken = broken or "verify does not see it"
    where = f"{file.relative_to(folder)}, byte {bit // 8}"
    return broken and f"{where}: {broken}"


def kinds() -> list[Kind]:
    return [Kind("a flipped bit, then the commands that read it", 8, 200, draw, survives)]
