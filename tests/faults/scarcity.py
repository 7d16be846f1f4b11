"""Little of something: a full or read-only disk, few open files, little memory; a wrong clock."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from faults import rules
from faults.kills import COMMANDS, Command, recovers, undisturbed
from faults.kinds import Kind
from faults.lab import LONG_S, Lab
from faults.preloaded import run

OPEN_FILES, FEWEST_FILES = 64, 16
MOST_MEMORY_BYTES = 1 << 28
MAKING = [each for each in COMMANDS if each.name != "resume"]


@dataclass(frozen=True)
class Little:
    """So much of something for a command, as a share of a range."""

    command: str
    share: float

    def find(self) -> Command:
        return next(each for each in COMMANDS if each.name == self.command)


def draw(commands: list[Command], random: Random, number: int) -> list[Little]:
    """Commands in turn."""
    return [
        Little(commands[place % len(commands)].name, random.random()) for place in range(number)
    ]


@contextmanager
def disk(folder: Path, num_bytes: int) -> Iterator[Path]:
    """A disk of its own, in memory; only root may mount one."""
    folder.mkdir()
    size = f"size={max(num_bytes, 4096)}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on a disk of pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*"))


def survives_full_disk(lab: Lab, folder: Path, little: Little) -> str:
    """A full disk is one message, and nothing half-made; with more of it, the work succeeds."""
    command = little.find()
    _, expected = undisturbed(lab, command, False)
    made = folder / "made"
    made.mkdir()
    run(command.entry(lab, False), made, limit_s=LONG_S)
    with disk(folder / "disk", int(size_of(made) * 1.2 * little.share)) as small:
        ended = run(command.entry(lab, False), small, limit_s=LONG_S)
        found = command.result(small)
        broken = (
            rules.says_well(ended)
            or ("" if found in (None, expected) else "what is there is not complete")
            or rules.nothing_temporary(small)
        )
        if broken:
            return broken
        remount(small, "size=64m")
        again = run(command.again(lab, False), small, limit_s=LONG_S)
        return rules.succeeded(again) or rules.same(command.result(small), expected, "the next")


def survives_read_only(lab: Lab, folder: Path, little: Little) -> str:
    """Nothing can be written: one message."""
    command = little.find()
    with disk(folder / "disk", 1 << 26) as fixed:
        command.before(lab, fixed, True)
        remount(fixed, "ro")
        ended = run(command.entry(lab, True), fixed, limit_s=LONG_S)
        return rules.says_well(ended, allowed=(2,))


def survives_few_files(lab: Lab, folder: Path, little: Little) -> str:
    """Few open files are enough, or one message says so."""
    limit = OPEN_FILES if little.share < 0.5 else int(FEWEST_FILES / little.share)
    command, (_, expected) = little.find(), undisturbed(lab, little.find(), False)
    command.before(lab, folder, False)
    old = command.result(folder)
    ended = run(
        command.entry(lab, False),
        folder,
        before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        limit_s=LONG_S,
    )
    complete = command.result(folder) in (None, old, expected)
    return rules.says_well(ended) or ("" if complete else "what is there is not complete")


def survives_little_memory(lab: Lab, folder: Path, little: Little) -> str:
    """A command that runs out of memory may die, for libraries abort: then it is as if killed."""
    command = little.find()

    def limit() -> None:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        most = now + int(little.share * MOST_MEMORY_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    command.before(lab, folder, False)
    old = command.result(folder)
    ended = run(command.entry(lab, False), folder, before=limit, limit_s=LONG_S)
    if ended.status is None:
        return rules.says_well(ended)
    return recovers(command, lab, folder, False, old)


def survives_clock(lab: Lab, folder: Path, little: Little) -> str:
    """A clock that jumps, back and forth, by up to ten years, changes nothing."""
    command = little.find()
    _, expected = undisturbed(lab, command, False)
    random = Random(little.share)
    real = time.time

    def jumping() -> None:
        time.time = lambda: real() + random.uniform(-3e8, 3e8)
        time.time_ns = lambda: int(time.time() * 1e9)

    command.before(lab, folder, False)
    ended = run(command.entry(lab, False), folder, before=jumping, limit_s=LONG_S)
    return (
        rules.succeeded(ended)
        or rules.same(command.result(folder), expected, "the result")
        or rules.nothing_temporary(folder)
    )


def kinds() -> list[Kind]:
    may_mount = not os.geteuid() and shutil.which("mount") is not None
    few = int(may_mount)
    of_making, of_all = partial(draw, MAKING), partial(draw, COMMANDS)
    return [
        Kind("a full disk", 2 * few, 50 * few, of_making, survives_full_disk),
        Kind("a read-only disk", 2 * few, 25 * few, of_making, survives_read_only),
        Kind("few open files (ulimit -n 64 and less)", 2, 30, of_all, survives_few_files),
        Kind("little memory", 0, 60, of_all, survives_little_memory),
        Kind("a clock that jumps", 1, 30, of_all, survives_clock),
    ]
