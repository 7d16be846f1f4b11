"""A checkpoint: the whole state of training, in one file.

    ["state", NAME, KEY]        the state of a modality's net
    ["best", NAME, KEY]         its state at the best score
    ["optimizer", NAME, KEY]    the optimiser's state of its parameters
    ["batches", NAME, KEY]      the state of a relation's batches
    ["history", NUMBER, ""]     hyperedges that earlier models were trained on

Keys are JSON, since names may be anything. The state is stored by modality and relation: a run can
be resumed on another number of ranks, or with another placement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hvdtma.comm.communicator import run_on_rank0
from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing, sync_folder, write_through
from hvdtma.core.tensor_file import DamagedFile, from_bytes, to_bytes
from hvdtma.runs.start_rules import no_checkpoint
from hypergraph.history import TrainingHistory
from hypergraph.train.fit import FitProgress
from hypergraph.train.rank_trainer import Parts, RankTrainer, State

FORMAT = "hypergraph-checkpoint-5"


@dataclass(frozen=True)
class FitCheckpoint:
    """The content of a checkpoint.

    Attributes:
        data: checksum of the hypergraph.
        counters: the counters of every rank.
        history: of the models that the run started from.
    """

    path: Path
    data: str
    progress: FitProgress
    counters: Sequence[dict[str, float]]
    parts: Parts
    history: TrainingHistory

    @property
    def iterations(self) -> int:
        """The iterations that all ranks have done."""
        return int(min(of["iterations"] for of in self.counters))


@dataclass
class CheckpointWriter:
    """Writes checkpoints during a fit: a listener to its progress.

    Args:
        every: scores between two checkpoints; 0: only at the end of the fit.
    """

    path: Path
    trainer: RankTrainer
    every: int
    scores: int = 0
    _data: str = field(default="", init=False)

    def __call__(self, progress: FitProgress) -> None:
        """Write a checkpoint if one is due; raises UserError if it cannot. Collective."""
        self.scores += 1
        if progress.stopped or (self.every and self.scores % self.every == 0):
            self._data = self._data or self.trainer.data.checksum()
            write_checkpoint(self.path, self.trainer, progress, self._data)


def write_checkpoint(path: Path, trainer: RankTrainer, progress: FitProgress, data: str) -> None:
    """Write a checkpoint, atomically. Collective.

    Args:
        data: checksum of the hypergraph.

    Raises UserError, on every rank, if it cannot be written.
    """
    comm = trainer.comm
    facts = {
        "format": FORMAT,
        "data": data,
        "progress": asdict(progress),
        "counters": comm.all_gather_object(trainer.counters()),
        "history": trainer.history.facts(),
    }
    history = trainer.history.tensors()  # the same on all ranks
    tensors = _named("history", [{number: {"": rows_nK} for number, rows_nK in history.items()}])
    for kind, own in trainer.parts().items():
        tensors |= _named(kind, comm.gather_object(own))
    run_on_rank0(comm, lambda: _write(path, to_bytes(tensors, facts)))


def _named(kind: str, every: Sequence[dict[str, State]]) -> State:
    """Tensors of all ranks by kind, name and key; of repeated ones, the first rank's."""
    return {
        json.dumps([kind, name, key]): value.contiguous()
        for part in reversed(every)
        for name, state in part.items()
        for key, value in state.items()
    }


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        write_through(temporary, content)
    sync_folder(path.parent)


def read_checkpoint(path: Path) -> FitCheckpoint:
    """Read a checkpoint and verify every byte.

    Raises UserError if the file is missing, damaged, or of another format.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise no_checkpoint(path.parent) from None
    try:
        tensors, facts = from_bytes(content)
    except DamagedFile:
        raise UserError(
            f"{path} is damaged: it has changed since it was written; --overwrite starts the run "
            "again"
        ) from None
    if facts["format"] != FORMAT:
        raise UserError(
            f"{path} has the format {facts['format']}; this version of hypergraph reads {FORMAT}"
        )
    parts = _parts(tensors)
    trained_on = {number: kept[""] for number, kept in parts["history"].items()}
    return FitCheckpoint(
        path,
        facts["data"],
        FitProgress(**facts["progress"]),
        facts["counters"],
        parts,
        TrainingHistory.read(facts["history"], trained_on),
    )


def _parts(tensors: State) -> Parts:
    parts: Parts = {"state": {}, "best": {}, "optimizer": {}, "batches": {}, "history": {}}
    for written, value in tensors.items():
        kind, name, key = json.loads(written)
        parts[kind].setdefault(name, {})[key] = value
    return parts
