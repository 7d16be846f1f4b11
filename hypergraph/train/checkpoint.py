"""A checkpoint: all that a run needs to go on as if nothing had happened, in one file.

    ["state", NAME, KEY]        the state of a modality's net
    ["best", NAME, KEY]         the same when it scored best
    ["optimizer", NAME, KEY]    the optimiser's state of its parameters
    ["batches", NAME, KEY]      where a relation's batches are
    ["past", NUMBER, ""]        hyperedges that what it began with was trained on

Keys are JSON, since names may be anything. By modality and relation: other ranks than those of the
time, or another placement, go on from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hvdtma.comm.communicator import run_on_rank0
from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing, sync_folder, write_through
from hypergraph.history import TrainingHistory
from hypergraph.tensor_file import NotWhole, packed, unpacked
from hypergraph.train.fit import FitProgress
from hypergraph.train.rank_trainer import Parts, RankTrainer, State

FORMAT = "hypergraph-checkpoint-4"


@dataclass(frozen=True)
class FitCheckpoint:
    """What a file holds.

    Attributes:
        data: checksum of the hypergraph.
        counters: of every rank of the time.
        past: what the models that the run began with were trained on.
    """

    path: Path
    data: str
    progress: FitProgress
    counters: Sequence[dict[str, float]]
    parts: Parts
    past: TrainingHistory

    @property
    def iterations(self) -> int:
        """That all ranks had done."""
        return int(min(of["iterations"] for of in self.counters))


@dataclass
class Saver:
    """Writes a checkpoint after every so many scores, and when a fit ends.

    Args:
        every: 0 writes one at the end only.
    """

    path: Path
    learner: RankTrainer
    every: int
    scores: int = 0
    _data: str = field(default="", init=False)

    def __call__(self, progress: FitProgress) -> None:
        """Take note of a score; a collective call. Raises UserError if it cannot be written."""
        self.scores += 1
        if progress.stopped or (self.every and self.scores % self.every == 0):
            self._data = self._data or self.learner.data.checksum()
            write_checkpoint(self.path, self.learner, progress, self._data)


def write_checkpoint(path: Path, learner: RankTrainer, progress: FitProgress, data: str) -> None:
    """Write where all ranks stand, whole or not at all; a collective call.

    Raises UserError, on every rank, if it cannot be written.
    """
    comm = learner.comm
    facts = {
        "format": FORMAT,
        "data": data,
        "progress": asdict(progress),
        "counters": comm.all_gather_object(learner.counters()),
        "past": learner.past.facts(),
    }
    past = learner.past.tensors()  # the same on all ranks
    tensors = _named("past", [{number: {"": rows_nK} for number, rows_nK in past.items()}])
    for kind, own in learner.parts().items():
        tensors |= _named(kind, comm.gather_object(own))
    run_on_rank0(comm, lambda: _write(path, packed(tensors, facts)))


def _named(kind: str, every: Sequence[dict[str, State]]) -> State:
    """Tensors of all ranks by kind, name and key; where several have one, the first rank's."""
    return {
        json.dumps([kind, name, key]): value.contiguous()
        for part in reversed(every)
        for name, state in part.items()
        for key, value in state.items()
    }


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as beside:
        write_through(beside, content)
    sync_folder(path.parent)


def read_checkpoint(path: Path) -> FitCheckpoint:
    """A checkpoint with every byte checked.

    Raises UserError if there is none, it is of another format, or not as it was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} has no checkpoint to go on from; --overwrite begins it anew "
            "(checkpoint.every says how often one is written)"
        ) from None
    try:
        tensors, facts = unpacked(content)
    except NotWhole:
        raise UserError(
            f"{path} is damaged: it is not what was written; --overwrite begins the run anew"
        ) from None
    if facts["format"] != FORMAT:
        raise UserError(f"{path} is of format {facts['format']}; this hypergraph reads {FORMAT}")
    progress = FitProgress(**facts["progress"])
    parts = _parts(tensors)
    past = TrainingHistory.read(
        facts["past"], {number: kept[""] for number, kept in parts["past"].items()}
    )
    return FitCheckpoint(path, facts["data"], progress, facts["counters"], parts, past)


def _parts(tensors: State) -> Parts:
    parts: Parts = {"state": {}, "best": {}, "optimizer": {}, "batches": {}, "past": {}}
    for whole_name, value in tensors.items():
        kind, name, key = json.loads(whole_name)
        parts[kind].setdefault(name, {})[key] = value
    return parts
