"""What the folders of all kinds of runs share: who trains there, what may be removed, made whole.

config.yaml      the whole config               versions.json   versions, git, command
metrics.jsonl    one event per line             summary.json    how it ended

Beside it, `.NAME.lock` is held by whoever trains it.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import IO

from hvdtma.core.config import Component, dump_config
from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing, write_json
from hvdtma.runs.versions import FORMAT, versions

LOOK_S = 0.2
HOLD_S = 2.0  # for whom another process, about to end, may still lock the run
OUTLIVED_S = 120.0  # a lost machine's lock may last so long (NFS); its job goes on elsewhere


class StartMode(Enum):
    """What to do with the config's run folder."""

    NEW = auto()
    """Make it; an error if it is there."""
    OVERWRITE = auto()
    """Replace the run that is there."""
    RESUME = auto()
    """Go on from its newest checkpoint; an error if there is none."""
    AUTO = auto()
    """Go on with a run that was begun, be it without a checkpoint yet; else make it."""
    DONE = auto()
    """Nothing: the run was trained and scored to the end. What `AUTO` may come to."""


class Folder:
    """A run's folder, new or found again.

    Attributes:
        maker: the command that makes such a run.
    """

    maker = "hvdtma train"

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.metrics = self.path / "metrics.jsonl"
        self.summary = self.path / "summary.json"
        self.versions = self.path / "versions.json"
        self.config_file = self.path / "config.yaml"
        self.lock_file = self.path.with_name(f".{self.path.name}.lock")
        self._held: IO | None = None

    def check_there(self) -> None:
        """Raises UserError if there is no run."""
        if not self.config_file.is_file():
            name = self.config_file.name
            raise UserError(f"no run at {self.path} (no {name}); start one with: {self.maker}")

    @contextmanager
    def making(self, config: Component) -> Iterator[Path]:
        """A folder beside, to add to; becomes the run's when the block ends well."""
        beside = self.path.with_name(f".{self.path.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        dump_config(config, beside / self.config_file.name)
        write_json(beside / self.versions.name, versions())
        yield beside
        beside.replace(self.path)

    def lock(self, timeout_s: float = 0.0) -> None:
        """Keep other processes from training this run until `unlock`, or until this one ends.

        Raises UserError if another one trains it, `timeout_s` long.
        """
        if self._held is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file, deadline = self.lock_file.open("a"), time.monotonic() + timeout_s
        try:
            while not _locked(file):
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{self.path} is being trained by another process, which holds "
                        f"{self.lock_file}; wait for it, or give run=ANOTHER"
                    )
                time.sleep(LOOK_S)
        except BaseException:
            file.close()
            raise
        self._held = file

    def lock_for(self, mode: StartMode) -> None:
        """Hold it to begin, with the patience that this asks for; raises as `lock`."""
        if mode is not StartMode.AUTO:
            self.lock(HOLD_S)
            return
        try:
            self.lock(HOLD_S)
        except UserError as held:
            console.print(f"[yellow]{held}; waiting up to {OUTLIVED_S:g} s", soft_wrap=True)
            self.lock(OUTLIVED_S)

    def unlock(self) -> None:
        """Let other processes train this run."""
        if self._held is not None:
            self._held.close()
        self._held = None

    def prepare(self, mode: StartMode, *needed: Path) -> None:
        """Do what `mode` asks of an earlier run, before any trainer starts.

        Afterwards every trainer can start with `StartMode.AUTO`. Raises UserError if the earlier
        run may not be removed, or another process trains it.
        """
        if mode is StartMode.AUTO:
            return
        self.lock()
        try:
            self.make_room(*needed, overwrite=mode is StartMode.OVERWRITE)
        finally:
            self.unlock()

    def make_room(self, *needed: Path, overwrite: bool) -> None:
        """Remove what is there, if that is wanted; raises as `check_room`."""
        if self.check_room(*needed, overwrite=overwrite):
            shutil.rmtree(self.path)

    def check_room(self, *needed: Path, overwrite: bool) -> bool:
        """Whether something is there, which may be removed.

        Raises UserError if it may not: it is not wanted, no run, or holds what is still needed.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return False
        if not overwrite:
            raise UserError(f"{self.path} exists; give --overwrite to replace it, or run=ANOTHER")
        if not self.versions.is_file() or FORMAT not in self.versions.read_text():
            raise UserError(f"{self.path} exists and is no run; --overwrite will not remove it")
        for kept in (*needed, Path.cwd()):
            if kept.resolve().is_relative_to(self.path.resolve()):
                raise UserError(f"{kept} is inside the run {self.path}; it will not be removed")
        return True

    def events(self) -> list[dict]:
        """Every event so far; a last line that is still being written is left out."""
        return read_lines(self.metrics)


def check_same_config(
    then: Component, now: Component, path: Path, *, free: frozenset[str] | set[str]
) -> None:
    """Raises UserError, listing the differences, if what is at `path` is of another config.

    Args:
        free: top-level keys that may differ.
    """
    before, after = (_flat(config.model_dump(mode="json")) for config in (then, now))
    changed = [
        f"{key} was {before.get(key)} and is {after.get(key)}"
        for key in after | before
        if key.split(".")[0] not in free and before.get(key) != after.get(key)
    ]
    if changed:
        raise UserError(f"{path} is of another config: " + "; ".join(changed))


def _flat(values: dict, prefix: str = "") -> dict:
    """Nested keys joined by dots."""
    flat: dict = {}
    for key, value in values.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        flat |= inner if inner is not None else {f"{prefix}{key}": value}
    return flat


def read_lines(path: Path) -> list[dict]:
    """The whole lines of a JSON-lines file."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def keep_lines(path: Path, wanted: Callable[[dict], bool]) -> None:
    """Drop the lines of a JSON-lines file that are not wanted."""
    kept = [line for line in read_lines(path) if wanted(line)]
    with replacing(path) as beside:
        beside.write_text("".join(json.dumps(line) + "\n" for line in kept))


def _locked(file: IO) -> bool:
    """Whether this process has the lock now; it goes with the process, however that ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        console.print(f"[yellow]{file.name} cannot be locked: {error.strerror}", soft_wrap=True)
    return True
