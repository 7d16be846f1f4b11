"""The base class of run folders: common files, the lock, creation and removal.

config.yaml      the whole config               versions.json   versions, git, command
metrics.jsonl    one event per line             summary.json    scores and totals at the end
outdated         marks a run that the next start replaces, if it does not resume it

The process that trains the run locks `.NAME.lock` beside the folder (`hvdtma.runs.lock`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

from hvdtma.core.config import Component, dump_config
from hvdtma.core.console import console
from hvdtma.core.digests import damaged, text_is_intact
from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing, replacing_folder, write_json
from hvdtma.core.partial import restore
from hvdtma.runs.lock import FileLock
from hvdtma.runs.versions import FORMAT, versions

LOCK_TIMEOUT_S = 2.0  # another process may be about to end
STALE_LOCK_S = 120.0  # a lost machine's lock may last so long (NFS); its job resumes elsewhere
ENDS = ("failed", "interrupted")  # the events that a run may end with before it is finished


class StartMode(Enum):
    """The start of a run: its folder is created, overwritten or resumed."""

    NEW = auto()
    """Create the folder; an error if it exists."""
    OVERWRITE = auto()
    """Replace the run in the folder."""
    RESUME = auto()
    """Resume the run from its newest checkpoint; an error if it has none."""
    AUTO = auto()
    """Resume the run if the folder holds one, overwrite it if it has no checkpoint yet, create it
    if there is none."""
    DONE = auto()
    """Do nothing: the run is finished. Only `resolve_start_mode` returns it."""


class BaseRunFolder:
    """The folder of a run of any kind, which may not exist yet.

    `RunFolder` is the folder of a training run, `hypergraph.run_folder.FitFolder` that of a run of
    HyperLearn.

    Attributes:
        command: the command that starts such a run.
    """

    command = "hvdtma train"

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.metrics = self.path / "metrics.jsonl"
        self.summary = self.path / "summary.json"
        self.versions = self.path / "versions.json"
        self.config_file = self.path / "config.yaml"
        self.outdated = self.path / "outdated"
        self._lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))

    @property
    def resume_command(self) -> str:
        """The command that resumes the run."""
        return f"{self.command} --resume {self.path}"

    def check_there(self) -> None:
        """Raises UserError if there is no run, or its config has changed since it began."""
        restore(self.path)
        if not self.config_file.is_file():
            name = self.config_file.name
            raise UserError(f"no run at {self.path} (no {name}); start one with: {self.command}")
        if not text_is_intact(self.config_file.read_bytes()):
            raise damaged(
                self.config_file,
                "; undo the change. Keys that may change are given on the command line: "
                f"{self.resume_command} key=value",
            )

    @contextmanager
    def making(self, config: Component, *needed: Path, overwrite: bool) -> Iterator[Path]:
        """Make the folder with the config and the versions; the block adds further files.

        Yields its temporary path. The folder is put in place when the block ends without an error;
        an earlier run stays as it is until then.

        Args:
            needed: files and folders that the new run reads.

        Raises UserError as `check_removable` does.
        """
        self.check_removable(*needed, overwrite=overwrite)
        with replacing_folder(self.path) as temporary:
            dump_config(config, temporary / self.config_file.name)
            write_json(temporary / self.versions.name, versions())
            yield temporary

    def lock(self, timeout_s: float = 0.0) -> None:
        """Keep other processes from training this run until `unlock`, or until this process ends.

        Raises UserError if another process still holds the lock after `timeout_s`.
        """
        if not (self._lock.held or self._lock.acquire(timeout_s)):
            raise UserError(
                f"{self.path} is being trained by another process, which holds {self._lock.path}; "
                "wait for it, or give run=ANOTHER"
            )

    def lock_for(self, mode: StartMode) -> None:
        """Lock the run to start it; `AUTO` waits for the lock of a lost machine to expire.

        Raises UserError as `lock` does.
        """
        if mode is not StartMode.AUTO:
            self.lock(LOCK_TIMEOUT_S)
            return
        try:
            self.lock(LOCK_TIMEOUT_S)
        except UserError as error:
            console.print(f"[yellow]{error}; waiting up to {STALE_LOCK_S:g} s", soft_wrap=True)
            self.lock(STALE_LOCK_S)

    def unlock(self) -> None:
        """Let other processes train this run."""
        self._lock.release()

    def prepare(self, mode: StartMode, *needed: Path) -> None:
        """Check an earlier run as `mode` says, before any trainer starts.

        Afterwards every trainer can start with `StartMode.AUTO`: a run that is to be replaced is
        marked, and stays until the new one is in its place. Raises UserError if the earlier run
        may not be removed, or another process trains it.
        """
        if mode is StartMode.AUTO:
            return
        self.lock()
        try:
            if self.check_removable(*needed, overwrite=mode is StartMode.OVERWRITE):
                self.outdated.touch()
        finally:
            self.unlock()

    def check_removable(self, *needed: Path, overwrite: bool) -> bool:
        """Whether the folder holds a run; raises UserError if it may not be removed.

        It may not be removed without `overwrite`, if it is no run, or if it holds a needed file.

        Args:
            needed: files and folders that the new run reads.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return False
        if not self.versions.is_file() or FORMAT not in self.versions.read_text():
            remedy = "--overwrite will not remove it; " if overwrite else ""
            raise UserError(f"{self.path} exists and is no run; {remedy}give run=ANOTHER")
        if not overwrite:
            raise UserError(f"{self.path} exists; give --overwrite to replace it, or run=ANOTHER")
        for kept in (*needed, Path.cwd()):
            if kept.resolve().is_relative_to(self.path.resolve()):
                raise UserError(f"{kept} is inside the run {self.path}; it will not be removed")
        return True

    def events(self) -> list[dict]:
        """Every event so far, without a last line that is still being written."""
        return read_lines(self.metrics)


def read_lines(path: Path) -> list[dict]:
    """The complete lines of a JSON-lines file; none if the file is missing.

    Raises UserError, with its number, for a line that is no JSON object.
    """
    if not path.exists():
        return []
    complete, _, _ = path.read_bytes().rpartition(b"\n")
    lines = []
    for number, line in enumerate(complete.split(b"\n") if complete else [], 1):
        try:
            lines.append(json.loads(line))
        except ValueError:
            lines.append(None)
        if not isinstance(lines[-1], dict):
            raise damaged(path, f"; line {number} is no JSON object")
    return lines


def keep_lines(path: Path, wanted: Callable[[dict], bool]) -> None:
    """Drop the lines of a JSON-lines file that are not wanted."""
    kept = [line for line in read_lines(path) if wanted(line)]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
