"""SIGKILL at random points of commands, and signals that ask to save.

Times of kills are spread evenly over the duration of the undisturbed command, at random within
each part of it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from faults import rules
from faults.kinds import Kind
from faults.lab import BUILD, LONG_S, ROUNDS, SOURCE, Lab
from faults.preloaded import Entry, hvdtma, hypergraph, run

IN_PROCESS = ("--in-process", 2)
LATEST = 1.05  # of the duration


@dataclass(frozen=True)
class Kill:
    """A kill at a share of a command's duration; whether the command replaces something."""

    at: float
    overwrite: bool


@dataclass(frozen=True)
class Command:
    """A command that may be killed.

    Attributes:
        name: of the command.
        entry: the command itself, which may or may not replace something.
        before: makes in the folder of a case what the command reads or replaces.
        again: the command that one gives after a kill.
        result: what the command has made in a folder; None if nothing is there.
    """

    name: str
    entry: Callable[[Lab, bool], Entry]
    before: Callable[[Lab, Path, bool], object]
    again: Callable[[Lab, bool], Entry]
    result: Callable[[Path], object]


def overwriting(overwrite: bool) -> tuple[str, ...]:
    return ("--overwrite",) if overwrite else ()


def build(lab: Lab, overwrite: bool) -> Entry:
    return hvdtma("build", "out.zarr", SOURCE, *BUILD, *overwriting(overwrite))


def partition(lab: Lab, overwrite: bool) -> Entry:
    words = ("partition", lab.graph, "out.zarr", "--method", "super", "--seed", 7)
    return hvdtma(*words, *overwriting(overwrite))


def embed(lab: Lab, overwrite: bool) -> Entry:
    return hvdtma("embed", lab.run, "--out", "out.parquet", *overwriting(overwrite))


def train(lab: Lab, overwrite: bool) -> Entry:
    return hvdtma("train", lab.config, *IN_PROCESS, *overwriting(overwrite))


def train_again(lab: Lab, overwrite: bool) -> Entry:
    how = "--overwrite" if overwrite else "--or-resume"
    return hvdtma("train", lab.config, *IN_PROCESS, how)


def resume(lab: Lab, overwrite: bool) -> Entry:
    return hvdtma("train", "--resume", "run", f"rounds={ROUNDS}", *IN_PROCESS)


def fit(lab: Lab, overwrite: bool) -> Entry:
    return hypergraph("train", lab.fit_config, *overwriting(overwrite))


def fit_again(lab: Lab, overwrite: bool) -> Entry:
    return hypergraph("train", lab.fit_config, "--overwrite" if overwrite else "--or-resume")


def copied(name: str, called: str, lab: Lab, folder: Path, overwrite: bool) -> None:
    if overwrite:
        lab.copy(name, folder, called)


def embedded_before(lab: Lab, folder: Path, overwrite: bool) -> None:
    if overwrite:
        run(hvdtma("embed", lab.early, "--out", "out.parquet"), folder)


def written(name: str, folder: Path) -> object:
    return rules.content(folder / name)


def trained(folder: Path) -> object:
    finished = (folder / "run/summary.json").exists()
    return rules.learned(folder / "run") if finished else None


def fitted(folder: Path) -> object:
    finished = (folder / "fit/summary.json").exists()
    return rules.fitted(folder / "fit") if finished else None


store = partial(written, "out.zarr")
OLD_STORE = partial(copied, "other.zarr", "out.zarr")
COMMANDS = [
    Command("build", build, OLD_STORE, lambda lab, _: build(lab, True), store),
    Command("partition", partition, OLD_STORE, lambda lab, _: partition(lab, True), store),
    Command(
        "embed",
        embed,
        embedded_before,
        lambda lab, _: embed(lab, True),
        partial(written, "out.parquet"),
    ),
    Command("train", train, partial(copied, "early", "run"), train_again, trained),
    Command(
        "resume",
        resume,
        lambda lab, folder, _: lab.copy("early", folder, "run"),
        resume,
        trained,
    ),
    Command("fit of HyperLearn", fit, partial(copied, "early_fit", "fit"), fit_again, fitted),
]


def undisturbed(lab: Lab, command: Command, overwrite: bool) -> tuple[float, object]:
    """The duration of a command that nothing happens to, and its result."""

    def make(folder: Path) -> tuple[float, object]:
        command.before(lab, folder, overwrite)
        ended = run(command.entry(lab, overwrite), folder, limit_s=LONG_S)
        if broken := rules.succeeded(ended):
            raise RuntimeError(f"undisturbed {command.name}: {broken}")
        result = command.result(folder)
        if command.result is trained and result != rules.learned(lab.run):
            raise RuntimeError(f"undisturbed {command.name}: another result than that of the lab")
        return ended.seconds, result

    duration, result = lab.remembered(f"undisturbed {command.name} {overwrite}", make)
    return duration, result


def draw(random: Random, number: int) -> list[Kill]:
    return [
        Kill((place + random.random()) / number * LATEST, random.random() < 0.5)
        for place in range(number)
    ]


def survives(command: Command, lab: Lab, folder: Path, kill: Kill) -> str:
    """Nothing is lost or half-made by a kill, and the next command makes the whole."""
    duration, _ = undisturbed(lab, command, kill.overwrite)
    command.before(lab, folder, kill.overwrite)
    there = rules.listing(folder)
    old = command.result(folder)
    signals = [(kill.at * duration, signal.SIGKILL)]
    ended = run(command.entry(lab, kill.overwrite), folder, signals=signals)
    if ended.status not in (0, 2, -signal.SIGKILL):
        return rules.says_well(ended)
    return recovers(command, lab, folder, kill.overwrite, old) or _only(folder, there)


def recovers(command: Command, lab: Lab, folder: Path, overwrite: bool, old: object) -> str:
    """What is there after a command has died is the old or the new, and the next one makes it."""
    expected = undisturbed(lab, command, overwrite)[1]
    after = command.result(folder)
    unfinished = after is None and command.result in (trained, fitted)
    if after not in (old, expected) and not unfinished:
        return "what is there is neither the old nor the new one"
    again = run(command.again(lab, overwrite), folder, limit_s=LONG_S)
    return (
        rules.succeeded(again)
        or rules.same(command.result(folder), expected, "the result of the next command")
        or rules.nothing_temporary(folder)
    )


def _only(folder: Path, there: set[str]) -> str:
    """Whether one file or folder is in a folder, apart from what was there."""
    top = {name for name in rules.listing(folder) - there if "/" not in name}
    return f"left behind: {', '.join(sorted(top))}" if len(top) > 1 else ""


@dataclass(frozen=True)
class Interruptions:
    """Signals that ask to save, one for each start of the run, at shares of a whole run's time."""

    at: tuple[float, ...]
    numbers: tuple[int, ...]


def draw_interruptions(random: Random, number: int) -> list[Interruptions]:
    signals = (signal.SIGUSR2, signal.SIGTERM)
    return [
        Interruptions(
            tuple(random.uniform(0.3, 1.0) for _ in range(TIMES)),
            tuple(int(random.choice(signals)) for _ in range(TIMES)),
        )
        for _ in range(number)
    ]


TIMES = 10


def survives_interruptions(command: Command, lab: Lab, folder: Path, case: Interruptions) -> str:
    """Ten signals, each in a resumption, and then a run to the end: as if undisturbed."""
    duration, expected = undisturbed(lab, command, False)
    for at, number in zip(case.at, case.numbers, strict=True):
        entry = command.again(lab, False)
        ended = run(entry, folder, signals=[(at * duration, number)], limit_s=LONG_S)
        # before Python has a handler, the signal ends the process: there is nothing to save yet
        if ended.status != -number and (broken := rules.says_well(ended, allowed=(0, 75))):
            return broken
    ended = run(command.again(lab, False), folder, limit_s=LONG_S)
    return (
        rules.succeeded(ended)
        or rules.same(command.result(folder), expected, "the run")
        or rules.nothing_temporary(folder)
    )


def kinds() -> list[Kind]:
    killed = [
        Kind(f"SIGKILL of {each.name}", 1, 100, draw, partial(survives, each)) for each in COMMANDS
    ]
    interrupted = [
        Kind(
            f"ten signals to {each.name}, each resumed",
            1 if each.name == "train" else 0,
            10,
            draw_interruptions,
            partial(survives_interruptions, each),
        )
        for each in COMMANDS
        if each.name in ("train", "fit of HyperLearn")
    ]
    return killed + interrupted
