"""The folder of a run: what is in it, and how each thing is written and found again.

config.yaml            the resolved config          versions.json   versions, git, command
graph.json             which graph it is trained on
metrics.jsonl          one event per line           scores.jsonl    the evaluator's scores
rounds/000012.safetensors   parameters after round 12 (the last few)
checkpoints/0007/      all that the run goes on from if it is cut short (the last few)
best.safetensors       the best round so far        summary.json, report.html, tensorboard/

Beside it, `.NAME.lock` is held by whoever trains it.
"""

from __future__ import annotations

import fcntl
import json
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from hvdtma.config import TrainConfig, dump_config, load_config
from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.files import replacing, write_json
from hvdtma.graph.store import GraphStore
from hvdtma.version import __version__

FORMAT = "hvdtma-run"  # in versions.json: what makes a folder a run
LOOK_S = 0.2
PASSING = ("failed", "interrupted", "skipped")  # events that a run that goes on leaves behind
PACKAGES = ("torch", "horovod", "dgl", "zarr", "numpy", "pyarrow")


class RunFolder:
    """A run's folder, new or found again."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.metrics = self.path / "metrics.jsonl"
        self.scores = self.path / "scores.jsonl"
        self.rounds = self.path / "rounds"
        self.best = self.path / "best.safetensors"
        self.checkpoints = self.path / "checkpoints"
        self.summary = self.path / "summary.json"
        self.versions = self.path / "versions.json"
        self.done = self.rounds / "done"
        self.graph = self.path / "graph.json"
        self.lock = self.path.with_name(f".{self.path.name}.lock")
        self._held: IO | None = None

    @classmethod
    def create(
        cls, config: TrainConfig, store: GraphStore, *, overwrite: bool = False
    ) -> RunFolder:
        """Make the folder of a new run on `store`, whole or not at all.

        Raises UserError if something is there.
        """
        run, beside = cls(config.run), cls(config.run.with_name(f".{config.run.name}.partial"))
        run.make_room(config, overwrite=overwrite)
        shutil.rmtree(beside.path, ignore_errors=True)
        beside.rounds.mkdir(parents=True)
        dump_config(config.resolved, beside.path / "config.yaml")
        write_json(beside.versions, versions())
        write_json(beside.graph, _graph_of(store))
        beside.path.replace(run.path)
        return run

    def hold(self, timeout_s: float = 0.0) -> None:
        """Keep other processes from training this run until `let_go`, or until this one ends.

        Raises UserError if another one trains it, `timeout_s` long.
        """
        if self._held is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file, deadline = self.lock.open("a"), time.monotonic() + timeout_s
        try:
            while not _locked(file):
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{self.path} is being trained by another process, which holds "
                        f"{self.lock}; wait for it, or give run=ANOTHER"
                    )
                time.sleep(LOOK_S)
        except BaseException:
            file.close()
            raise
        self._held = file

    def let_go(self) -> None:
        """Let other processes train this run."""
        if self._held is not None:
            self._held.close()
        self._held = None

    def make_room(self, config: TrainConfig, *, overwrite: bool) -> None:
        """Remove what is there, if that is wanted; raises as `check_room`."""
        if self.check_room(config, overwrite=overwrite):
            shutil.rmtree(self.path)

    def check_room(self, config: TrainConfig, *, overwrite: bool) -> bool:
        """Whether something is there, which may be removed.

        Raises UserError if it may not: it is not wanted, no run, or holds what is still needed.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return False
        if not overwrite:
            raise UserError(f"{self.path} exists; give --overwrite to replace it, or run=ANOTHER")
        if not self.versions.is_file() or FORMAT not in self.versions.read_text():
            raise UserError(f"{self.path} exists and is no run; --overwrite will not remove it")
        for needed in (config.store, Path.cwd()):
            if needed.resolve().is_relative_to(self.path.resolve()):
                raise UserError(f"{needed} is inside the run {self.path}; it will not be removed")
        return True

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run; raises UserError if there is none."""
        run = cls(path)
        if not (run.path / "config.yaml").is_file():
            raise UserError(f"no run at {run.path} (no config.yaml); start one with: hvdtma train")
        return run

    def rewind(self, config: TrainConfig, rounds_done: int, deal: int) -> None:
        """Forget what came after a checkpoint, and take on the config to go on with."""
        dump_config(config.resolved, self.path / "config.yaml")
        for left in (self.done, self.summary):
            left.unlink(missing_ok=True)
        for path in self.round_files():
            if int(path.stem) > rounds_done:
                path.unlink()
        for path in (self.metrics, self.scores):
            kept = [e for e in read_lines(path) if _is_before(e, rounds_done, deal)]
            with replacing(path) as beside:
                beside.write_text("".join(json.dumps(event) + "\n" for event in kept))

    def config(self) -> TrainConfig:
        return load_config(self.path / "config.yaml")

    def check_store(self, store: GraphStore) -> bool:
        """Whether a store holds the very graph and split that the run is trained on.

        Raises UserError if its classes or edge types are others: the model's outputs would not
        mean the same.
        """
        then, now = json.loads(self.graph.read_text()), _graph_of(store)
        for names in ("label_names", "edge_type_names"):
            if then[names] != now[names]:
                raise UserError(
                    f"{store.path} has other {names} than the graph of {self.path}: "
                    f"{', '.join(now[names]) or 'none'} instead of {', '.join(then[names])}"
                )
        return then["graph"] == now["graph"]

    def check_same(self, store: GraphStore) -> None:
        """Raises UserError if a store does not hold the very graph that the run is trained on."""
        if not self.check_store(store):
            raise UserError(f"{store.path} was built anew since {self.path} was trained on it")

    def events(self) -> list[dict]:
        """Every event so far; a last line that is still being written is left out."""
        return read_lines(self.metrics)

    def write_round(self, number: int, time_s: float, model: nn.Module, keep: int) -> None:
        """Write parameters after a round, whole or not at all, and drop the oldest.

        Raises UserError if they cannot be written.
        """
        path = self.rounds / f"{number:06d}.safetensors"
        try:
            write_model(path, model, round=number, time_s=time_s)
        except OSError as error:
            raise UserError(
                f"the parameters after round {number} cannot be written to {self.rounds}: "
                f"{error.strerror or error}; the last good round is {number - 1}"
            ) from error
        for old in self.round_files()[:-keep]:
            old.unlink(missing_ok=True)

    def round_files(self) -> list[Path]:
        """Parameter files of the kept rounds, oldest first."""
        return sorted(self.rounds.glob("[0-9]*.safetensors"))


def _locked(file: IO) -> bool:
    """Whether this process has the lock now; it goes with the process, however that ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        console.print(f"[yellow]{file.name} cannot be locked: {error.strerror}", soft_wrap=True)
    return True


def _graph_of(store: GraphStore) -> dict:
    """What a model's outputs mean, and which held-out links it has not seen."""
    return {
        "graph": store.graph,
        "label_names": store.label_names,
        "edge_type_names": store.edge_type_names,
    }


def _is_before(event: dict, rounds_done: int, deal: int) -> bool:
    """Whether an event was logged before a checkpoint."""
    if event["kind"] == "deal":
        return event["deal"] < deal  # this one is announced again
    if event.get("part") == "test":
        return False
    return event["kind"] not in PASSING and event.get("round", 0) <= rounds_done


def read_lines(path: Path) -> list[dict]:
    """The whole lines of a JSON-lines file."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def write_model(path: Path, model: nn.Module, **facts: object) -> None:
    """Parameters and buffers as safetensors with facts beside them, atomically."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    content = save(tensors, metadata={key: str(value) for key, value in facts.items()})
    with replacing(path) as beside:  # written here: save_file hides a full disk, and sets mode 0600
        beside.write_bytes(content)


def read_model(path: Path, model: nn.Module) -> dict[str, str]:
    """Load parameters into a model of the same config; the facts beside them.

    Raises UserError if the file is damaged or of another model, FileNotFoundError if it is gone.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts = file.metadata() or {}
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} does not hold this model's parameters: {error}") from error
    return facts


def versions() -> dict:
    """What this run was made with."""
    return {
        "format": FORMAT,
        "hvdtma": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in PACKAGES},
        "command": sys.argv,
        "git": git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_state() -> dict | None:
    """Commit of hvdtma's own checkout and whether it was changed; None if it is no checkout."""
    here = Path(__file__).parent
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(here), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(status)}
