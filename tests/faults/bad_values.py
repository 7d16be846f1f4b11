"""Bad values for every command: a grammar of options, of `key=value`, and of configs.

Options are those that the commands have, keys those that the configs have: new ones are tried
without being listed here. Some drawn values are valid; then the command must succeed.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import typer
import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from faults import rules
from faults.drawn import drawn
from faults.kinds import Kind
from faults.lab import BUILD, SOURCE, Lab
from faults.preloaded import Ended, hvdtma, hypergraph, run

NUMBERS = (
    *(
        "0",
        "1",
        "-1",
        "2",
        "0.5",
        "-0.0",
        "1e-300",
        "1e300",
        "-1e300",
        "nan",
        ".nan",
        "inf",
        "-.inf",
    ),
    *("100000", "10000000", "100000000", "2147483647", "2147483648", "4294967296"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" + "0" * 30),
    *("1_000", "0x10", "1e3", "٣", "½", "1,5"),
)
TEXTS = (
    *("", " ", "a", "true", "null", "none", "auto", "é包", "a b", "'", '"', "`", "#", "%", "a\nb"),
    *("a\tb", "a\x1b[31mb", "a\x00b", "[", "]", "{", "}", "[]", "{}", "[1,2]", "{a: 1}", "a: b: c"),
    *("!!python/object/apply:os.system [ls]", "${oc.env:HOME}", "${nowhere}", "*a", "&a", "? a"),
    *("os:system", "nowhere.at:All", "hvdtma.core:errors", "..:x", "[/red]", "x" * 3000),
)
PATHS = (
    *("/", ".", "..", "~", "~nobody-at-all/x", "nowhere/x.parquet", "run/x.npy", "/dev/null"),
    *("/dev/full", "/proc/self/mem", "/proc/1/x", "/etc/passwd", "graph.zarr", "graph.zarr/run"),
    *("run", "run/rounds", "train.yaml", "edges.csv", "x" * 300, "new/deep/x.zarr", "é包.parquet"),
)
WORDS = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.sampled_from(PATHS))
ANY = st.one_of(WORDS, WORDS, st.integers().map(str), st.floats().map(str), st.text(max_size=12))
NEVER = {"--help", "--install-completion", "--show-completion", "--watch", "--local"}
LIMITED = ("rounds=2", "time_limit_s=5", "threads=1")
FIT_LIMITED = ("iterations=4", "time_limit_s=5")

# The words of a command that works, in a folder with copies of the lab's examples.
WORKING: dict[str, tuple[object, ...]] = {
    "build": ("new.zarr", SOURCE, *BUILD),
    "build from tables": (
        *("new.zarr", "--edges", "edges.csv"),
        *("--features", "features.csv", "--labels", "labels.csv"),
    ),
    "info": ("graph.zarr",),
    "verify": ("graph.zarr",),
    "partition": ("graph.zarr", "new.zarr"),
    "export": ("graph.zarr", "new", "--to", "parquet"),
    "plan": ("train.yaml", "--quick"),
    "train": ("train.yaml", "run=new", *LIMITED),
    "evaluate": ("run",),
    "embed": ("run", "--out", "new.parquet"),
    "predict": ("run", "--pairs", "pairs.csv"),
    "recommend": ("run", "--node", "3"),
    "report": ("run",),
    "compare": ("run", "early"),
    "bug-report": ("run",),
    "config": (),
    "submit": ("train.yaml", "--dry-run"),
}
OF_HYPERGRAPH: dict[str, tuple[object, ...]] = {
    "train": ("fit.yaml", "run=new", *FIT_LIMITED),
    "evaluate": ("fit",),
    "complete": ("fit", "--missing", "artist", "work=3"),
    "report": ("fit",),
    "config": (),
    "info": ("fit.yaml",),
}
MEMORY_BYTES = 12 << 30
COPIED = ("graph.zarr", "run", "early", "fit", "hyper.zarr", "train.yaml", "fit.yaml")
TABLES = ("edges.csv", "features.csv", "labels.csv", "pairs.csv")


@dataclass(frozen=True)
class Words:
    """A command with bad values: the package, the words, and a YAML file that replaces a config."""

    package: str
    words: tuple[str, ...]
    yaml: str | None = None


def options_of(app: typer.Typer) -> dict[str, list[Any]]:
    """Command -> its options, as Click has them."""
    group: Any = typer.main.get_command(app)
    return {
        name: [
            option
            for option in command.params
            if option.param_type_name == "option" and not NEVER & set(option.opts)
        ]
        for name, command in group.commands.items()
    }


def keys_of(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The keys of a config, with dots."""
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


@st.composite
def option(draw: st.DrawFn, options: list[Any]) -> tuple[str, ...]:
    """An option with a value of its own choices, or a bad one."""
    chosen = draw(st.sampled_from(options))
    name = draw(st.sampled_from([*chosen.opts, *chosen.secondary_opts]))
    return (name,) if chosen.is_flag else (name, draw(ANY))


@st.composite
def key_value(draw: st.DrawFn, keys: list[str]) -> str:
    """A change of a config: a key, sometimes misspelt, and a value."""
    key = draw(st.sampled_from(keys))
    how = draw(st.integers(0, 19))
    if how == 0:
        key = draw(st.sampled_from([key + "x", key[1:], key.upper(), "", ".", key + ".x", "a.b"]))
    return key if how == 1 else f"{key}={draw(ANY)}"


@st.composite
def nested(draw: st.DrawFn, keys: list[str]) -> dict[str, Any]:
    """The values of a config with a few bad ones, of any type that YAML has."""
    leaf = st.one_of(WORDS, st.integers(), st.floats(), st.booleans(), st.none(), st.dates())
    any_value = st.recursive(
        leaf, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=4
    )
    values: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3)):
        group = values
        *groups, name = key.split(".")
        for each in groups:
            group = group.setdefault(each, {})
            if not isinstance(group, dict):
                break
        else:
            group[name] = draw(any_value)
    return values


def grammar() -> st.SearchStrategy[Words]:
    """All commands, each with one to three bad values."""
    from hvdtma.cli.app import app
    from hvdtma.core.train_config import TrainConfig
    from hypergraph.cli import app as of_hypergraph
    from hypergraph.config import RunConfig

    options = {"hvdtma": options_of(app), "hypergraph": options_of(of_hypergraph)}
    keys = {"hvdtma": list(keys_of(TrainConfig)), "hypergraph": list(keys_of(RunConfig))}
    working = [("hvdtma", name) for name in WORKING] + [
        ("hypergraph", name) for name in OF_HYPERGRAPH
    ]

    @st.composite
    def words(draw: st.DrawFn) -> Words:
        package, name = draw(st.sampled_from(working))
        base = (WORKING if package == "hvdtma" else OF_HYPERGRAPH)[name]
        command = name.split()[0]
        given = [str(word) for word in base]
        configured = command in ("train", "plan", "submit", "info") and given[0].endswith("yaml")
        text = None
        for _ in range(draw(st.integers(1, 3))):
            how = draw(st.integers(0, 5))
            if configured and how < 4:
                given.append(draw(key_value(keys[package])))
            elif how == 5 and given:
                given[draw(st.integers(0, len(given) - 1))] = draw(ANY)
            elif options[package][command]:
                given.extend(draw(option(options[package][command])))
        if configured and draw(st.integers(0, 3)) == 0:
            text = yaml.safe_dump(draw(nested(keys[package])), allow_unicode=True)
        return Words(package, (command, *(each.replace("\0", "�") for each in given)), text)

    return words()


def draw(random: Random, number: int) -> list[Words]:
    return drawn(grammar(), random, number)


def survives(lab: Lab, folder: Path, case: Words) -> str:
    """A bad value is one message, and nothing half-made; what is accepted succeeds."""
    for name in (*COPIED, *TABLES):
        lab.copy(name, folder)
    if case.yaml is not None:
        _merge(folder / ("train.yaml" if case.package == "hvdtma" else "fit.yaml"), case.yaml)
    before = rules.listing(folder)
    started = {"hvdtma": hvdtma, "hypergraph": hypergraph}[case.package](*case.words)
    ended = run(started, folder, before=limit_memory)
    return rules.says_well(ended) or left_well(ended, before, folder, case.words)


def _merge(file: Path, text: str) -> None:
    """Put bad values into a config that works."""
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | yaml.safe_load(text)))


def left_well(ended: Ended, before: set[str], folder: Path, words: tuple[str, ...]) -> str:
    """Whether a refused command has left nothing, and no command anything half-made.

    A run that began before it was refused stays, as do its events.
    """
    lost = before - rules.listing(folder)
    gone = f"removed: {', '.join(sorted(lost)[:3])}" if lost and ended.status == 2 else ""
    if ended.status == 2 and words[0] != "train":
        gone = gone or rules.nothing_new(before, folder)
    return gone or rules.nothing_temporary(folder)


def limit_memory() -> None:
    """No case takes the machine's memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def kinds() -> list[Kind]:
    return [Kind("bad values", 12, 200, draw, survives)]
