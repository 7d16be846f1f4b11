"""Bad arguments for the Python API of `hypergraph`, and for hypergraphs that are saved and opened.

Legend: N items, n hyperedges, K arity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from faults import rules
from faults.bad_values import limit_memory
from faults.drawn import drawn
from faults.kinds import Kind
from faults.lab import Lab
from faults.preloaded import called, run

NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    10**6,
    2**31,
    2**63,
    -(2**70),
    0.5,
    -0.5,
    1e300,
    float("nan"),
    float("inf"),
)
TEXTS = (
    "",
    "a",
    "work",
    "artist",
    "made",
    "nowhere",
    "é包",
    "a/b",
    "..",
    "a\x00b",
    "[x]",
    "x" * 300,
)
ROWS = (
    [],
    [[]],
    [[0]],
    [[0, 0]],
    [[0, 99]],
    [[-1, 0]],
    [[0, 0, 0]],
    [[0, 0], [1]],
    [0, 1],
    [[0.5, 1]],
)
ROWS += ([["a", "b"]], [[2**62, 0]], [[2**70, 0]], [[0, 0]] * 3, [[float("nan"), 0]])
LISTS = (
    [],
    [1],
    [0, 0, 0],
    [1.0, float("nan")],
    [float("inf")] * 3,
    ["a", "b", "c"],
    ["a", "a", "a"],
)
LISTS += (
    ["train", "test", "x"],
    [2**70] * 3,
    [[1, 2], [3, 4], [5, 6]],
    [-1, 0, 5],
    [0.0, 0.0, 0.0],
)

# The arguments of the calls below; each call gets the defaults but for one to three.
DEFAULTS: dict[str, Any] = {
    "name": "work",
    "num_items": 3,
    "ids": None,
    "features": None,
    "edges": [[0, 1]],
    "weights": None,
    "recipe": None,
    "relation": "made",
    "modalities": ["work", "artist"],
    "indices": [[0, 0], [1, 1], [2, 0]],
    "values": None,
    "part": None,
    "valid": 0.0,
    "test": 0.34,
    "seed": 0,
    "together": None,
    "dim": 4,
    "iterations": 2,
    "known": {"work": 0},
    "missing": "artist",
    "top": 2,
    "path": "new.zarr",
}
BAD: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("num_items", "valid", "test", "seed", "dim", "iterations", "top"), NUMBERS),
    **dict.fromkeys(("name", "relation", "together", "missing"), TEXTS),
    **dict.fromkeys(("ids", "values", "weights", "part"), LISTS),
    **dict.fromkeys(("edges", "indices", "features"), ROWS + LISTS),
    "modalities": ([], ["work"], ["work", "work"], ["work", "nowhere"], "work", ["", "artist"]),
    "recipe": (
        {"kind": "features"},
        {"kind": "x"},
        {"kind": "hyperedges", "k": 0},
        {"kind": "hyperedges", "k": 10**9},
    ),
    "known": ({}, {"work": -1}, {"work": "x"}, {"nowhere": 0}, {"artist": 0}, {"work": 2**70}),
    "path": ("/", ".", "nowhere/x.zarr", "x" * 300, "/proc/x", "hyper.zarr", "run"),
}


@dataclass(frozen=True)
class Call:
    """The arguments that are not the default ones."""

    given: tuple[tuple[str, Any], ...]


def learn(given: dict[str, Any]) -> None:
    """Make a hypergraph, save and open it, split it, learn from it and complete a hyperedge."""
    import hypergraph as hg
    from hvdtma.core.config import load_as

    recipe = None if given["recipe"] is None else hg.GraphRecipe(**given["recipe"])
    intra = hg.Intra.of(given["edges"], given["weights"])
    work = hg.Modality(given["name"], given["num_items"], given["ids"], given["features"], intra)
    made = hg.Relation(
        given["relation"], given["modalities"], given["indices"], given["values"], given["part"]
    )
    data = hg.MultimodalHypergraph.of([work, hg.Modality("artist", 2)], [made])
    if recipe is not None:
        data = data.with_intra(given["name"], recipe)
    data.save(given["path"])
    data = hg.MultimodalHypergraph.open(given["path"])
    shares = {"valid": given["valid"], "seed": given["seed"]}
    if given["part"] is None:
        split = hg.split_relation(
            data, given["relation"], test=given["test"], together=given["together"], **shares
        )
    else:
        split = hg.given_split(data, given["relation"], **shares)
    values = {"iterations": given["iterations"], "model": {"dim": given["dim"]}}
    config = load_as(hg.HyperLearnConfig, values | {"time_limit_s": 5})
    model = hg.HyperLearn(split, config).fit()
    model.evaluate()
    model.complete(given["relation"], given["known"], given["missing"], top=given["top"])
    model.save("model.safetensors")


@st.composite
def call(draw: st.DrawFn) -> Call:
    names = draw(st.lists(st.sampled_from(sorted(BAD)), min_size=1, max_size=3, unique=True))
    return Call(tuple((name, draw(st.sampled_from(BAD[name]))) for name in names))


def draw(random: Random, number: int) -> list[Call]:
    return drawn(call(), random, number)


def survives(lab: Lab, folder: Path, case: Call) -> str:
    """A bad argument is a UserError, and nothing half-made."""
    for name in ("hyper.zarr", "run"):
        lab.copy(name, folder)
    ended = run(called(lambda: learn(DEFAULTS | dict(case.given))), folder, before=limit_memory)
    return rules.says_well(ended) or rules.nothing_temporary(folder)


def kinds() -> list[Kind]:
    return [Kind("bad arguments of hypergraph's Python API", 6, 200, draw, survives)]
