"""The folder of a training run: its files, and how they are written and read.

config.yaml            the resolved config          versions.json   versions, git, command
graph.json             the identity of the graph
metrics.jsonl          one event per line           scores.jsonl    the evaluator's scores
rounds/000012.safetensors   parameters after round 12 (the last few)
checkpoints/0007/      the states that a run can be resumed from (the last few)
best.safetensors       the best round so far        summary.json, report.html
tensorboard/, log.csv  of loggers                   profile.json    of the PyTorch profiler

The process that trains the run locks `.NAME.lock` beside the folder (`hvdtma.runs.lock`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hvdtma.core.config import dump_config
from hvdtma.core.digests import damaged, read_json, with_digest, without_digest
from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json, replacing, write_json
from hvdtma.core.tensor_file import (
    DamagedFile,
    from_bytes,
    from_bytes_without_digest,
    to_bytes,
)
from hvdtma.core.train_config import TrainConfig, load_train_config
from hvdtma.runs.folder import ENDS, BaseRunFolder, keep_lines, read_lines
from hvdtma.runs.trained_graph import (
    OLDER,
    TrainedGraph,
    check_features,
    check_outputs,
    record_of,
)

MODEL = "model.safetensors"  # in the folder of a pretrained model (`hvdtma.runs.pretrained`)
OUTDATED = (*ENDS, "skipped")  # events that are dropped when a run is resumed


class RunFolder(BaseRunFolder):
    """The folder of a training run (`hvdtma train`), which may not exist yet."""

    def __init__(self, path: str | Path):
        super().__init__(path)
        self.scores = self.path / "scores.jsonl"
        self.rounds = self.path / "rounds"
        self.best = self.path / "best.safetensors"
        self.checkpoints = self.path / "checkpoints"
        self.done = self.rounds / "done"
        self.graph = self.path / "graph.json"

    @classmethod
    def create(
        cls, config: TrainConfig, store: TrainedGraph, *, overwrite: bool = False
    ) -> RunFolder:
        """Create the folder of a new run on `store`, atomically.

        Raises UserError if the folder holds something that may not be replaced.
        """
        run = cls(config.run)
        with run.making(config.resolved, *config.inputs, overwrite=overwrite) as temporary:
            (temporary / run.rounds.name).mkdir()
            write_json(temporary / run.graph.name, with_digest(record_of(store)))
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run; raises UserError if there is none."""
        run = cls(path)
        run.check_there()
        return run

    def check_there(self) -> None:
        """Raises UserError if there is no run."""
        if not self.config_file.is_file() and (self.path / MODEL).is_file():
            raise UserError(
                f"{self.path} is a pretrained model, not a run; it can be asked about a store: "
                "hvdtma predict, recommend, evaluate and embed with --store STORE"
            )
        super().check_there()

    def rewind(self, config: TrainConfig, rounds_done: int, assignment: int) -> None:
        """Drop everything after a checkpoint, and write the config to resume with."""
        dump_config(config.resolved, self.config_file)
        for left in (self.done, self.summary, self.outdated):
            left.unlink(missing_ok=True)
        for path in self.round_files():
            if int(path.stem) > rounds_done:
                path.unlink()
                self.mean_of(path).unlink(missing_ok=True)
        for path in (self.metrics, self.scores):
            keep_lines(path, lambda event: _is_before(event, rounds_done, assignment))

    def config(self) -> TrainConfig:
        return load_train_config(self.config_file)

    def score_events(self) -> list[dict]:
        """The evaluator's scores, oldest first; raises UserError if the file is damaged."""
        lines = read_lines(self.scores)
        return [without_digest(event, self.scores, needed=False) for event in lines]

    def add_score(self, event: dict) -> None:
        """Append a score of the evaluator."""
        append_json(self.scores, with_digest(event))

    def trained_graph(self) -> dict[str, Any]:
        """The graph that the run is trained on: its identity, and the meaning of outputs."""
        return {**OLDER, **read_json(self.graph)}

    def best_or_newest(self) -> tuple[Path, bool]:
        """The parameters of the best round, and whether it was scored; else of the newest round.

        Raises UserError if the run has no round.
        """
        if self.best.is_file():
            return self.best, True
        rounds = self.round_files()
        if not rounds:
            raise UserError(f"{self.path} has no round yet")
        return rounds[-1], False

    def check_store(self, store: TrainedGraph, *, may_lack_labels: bool = False) -> bool:
        """Whether a store holds the graph and split that the run is trained on.

        Raises UserError as `check_outputs` does.
        """
        then = self.trained_graph()
        check_outputs(then, store, f"the graph of {self.path}", may_lack_labels=may_lack_labels)
        return then["graph"] == store.graph

    def check_features(self, store: TrainedGraph) -> None:
        """Raise UserError if the features of a store mean something else to the run's model."""
        like = f"STORE, the store of the run: {self.config().store}"
        check_features(self.trained_graph(), store, f"the graph of {self.path}", like)

    def check_same(self, store: TrainedGraph) -> None:
        """Raises UserError if a store does not hold the graph that the run is trained on."""
        if not self.check_store(store):
            raise UserError(
                f"{store.path} has another graph or split than the one that {self.path} is trained "
                "on: it was built again, or is another store"
            )

    def write_round(
        self,
        number: int,
        time_s: float,
        model: nn.Module,
        keep: int,
        mean: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Write the parameters after a round, atomically, and remove the oldest.

        Args:
            keep: how many rounds to keep.
            mean: the exponential mean of the parameters over rounds, by name.

        Raises UserError if they cannot be written.
        """
        path = self.rounds / f"{number:06d}.safetensors"
        try:
            if mean is not None:  # first: whoever reads the round finds its mean
                write_tensors(self.mean_of(path), mean, round=number, time_s=time_s, mean=True)
            write_model(path, model, round=number, time_s=time_s)
        except OSError as error:
            raise UserError(
                f"the parameters after round {number} cannot be written to {self.rounds}: "
                f"{error.strerror or error}; the last good round is {number - 1}"
            ) from error
        for old in self.round_files()[:-keep]:
            old.unlink(missing_ok=True)
            self.mean_of(old).unlink(missing_ok=True)

    @staticmethod
    def mean_of(path: Path) -> Path:
        """The file of the mean of the parameters, beside the file of a round."""
        return path.with_name(f"mean-{path.name}")

    def round_files(self) -> list[Path]:
        """The parameter files of the kept rounds, oldest first."""
        return sorted(self.rounds.glob("[0-9]*.safetensors"))


def _is_before(event: dict, rounds_done: int, assignment: int) -> bool:
    """Whether an event was logged before a checkpoint."""
    if event["kind"] == "assignment":
        return event["assignment"] < assignment  # the present one is recorded again
    if event.get("part") == "test":
        return False
    return event["kind"] not in OUTDATED and event.get("round", 0) <= rounds_done


def write_model(path: Path, model: nn.Module, **facts: object) -> None:
    """Write parameters and buffers as safetensors, with facts as metadata, atomically."""
    write_tensors(path, model.state_dict(), **facts)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], **facts: object) -> None:
    """Write tensors as safetensors, with facts as metadata, atomically."""
    content = to_bytes(tensors, {key: str(value) for key, value in facts.items()})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def round_of(path: Path) -> int:
    """The round of a file of parameters; 0 if the file is missing or damaged."""
    try:
        return int(_tensors_of(path.read_bytes())[1]["round"])
    except (FileNotFoundError, DamagedFile):
        return 0


def _tensors_of(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and facts of a file, which may be of a version before there were digests."""
    return from_bytes_without_digest(content) or from_bytes(content)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and facts of a file of parameters.

    Raises UserError if the file is damaged, FileNotFoundError if it is missing.
    """
    try:
        return _tensors_of(path.read_bytes())
    except DamagedFile:
        raise damaged(path) from None


def read_model(path: Path, model: nn.Module) -> dict[str, str]:
    """Load parameters into a model of the same config, and return the facts.

    Raises UserError if the file is damaged or of another model, FileNotFoundError if it is missing.
    """
    tensors, facts = read_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path} does not hold this model's parameters: {error}") from error
    return facts
