"""Checkpoints: all that a run needs to go on as if nothing had happened.

    checkpoints/0007/checkpoint.json            where all stand, and the digests of the rest
                     shared.safetensors         parameters, outer step
                     best.safetensors           the best round so far, if one was scored
                     trainer_000.safetensors    its local parameters, optimiser, random state

Every trainer writes its own file beside; once all are there, the folder gets its name.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xxhash
from rich.markup import escape
from safetensors.torch import load, save

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.aggregate.aggregator import aggregate_updates
from hvdtma.aggregate.optimizer_state import optimizer_tensors, restore_optimizer
from hvdtma.aggregate.state import GlobalState, RankState
from hvdtma.comm.communicator import run_on_all, run_on_rank0
from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.core.files import finite, replacing, sync_folder, write_through
from hvdtma.core.train_config import TrainConfig, parse_config
from hvdtma.runs.run_folder import RunFolder, round_of
from hvdtma.sampling.resident import ShardSize
from hvdtma.training.trainer import ShardProgress, Trainer

VERSION = 2
AGGREGATOR = "aggregator."
MANIFEST, SHARED, BEST = "checkpoint.json", "shared.safetensors", "best.safetensors"


def write_checkpoint(run: RunFolder, trainer: Trainer, averaging: TimedAveraging) -> None:
    """Write a checkpoint, whole or not at all, and drop the oldest; a collective call.

    Raises UserError on every trainer if one of them cannot write.
    """
    comm = averaging.comm
    beside, path = run_on_rank0(comm, lambda: _new_folder(run))
    state = averaging.global_state()
    own = run_on_all(comm, lambda: _write_own(beside, trainer, averaging))
    files, shard_indices = (
        dict(comm.all_gather_object(own)),
        comm.all_gather_object(trainer.shard_index),
    )

    def finish() -> None:
        files[SHARED] = _write(beside / SHARED, _shared_tensors(state), {})
        if run.best.exists():
            best = run.best.read_bytes()
            write_through(beside / BEST, best)
            files[BEST] = _digest(best)
        facts = {
            "version": VERSION,
            "config": trainer.config.resolved.model_dump(mode="json"),
            "trainers": comm.size,
            "num_shards": trainer.num_shards,
            "shard_indices": shard_indices,
            "reassigning": trainer.next_shard is not None,
            "assignment": trainer.assignment,
            "assigned_at": trainer.assigned_at,
            "averaging": _shared_numbers(state),
            "files": files,
        }
        write_through(beside / MANIFEST, json.dumps(finite(facts), indent=2).encode())
        sync_folder(beside)
        beside.rename(path)
        sync_folder(path.parent)
        for old in folders(run)[: -trainer.config.checkpoint.keep]:
            shutil.rmtree(old)

    run_on_rank0(comm, finish)


def folders(run: RunFolder) -> list[Path]:
    """The run's checkpoints, oldest first."""
    return sorted(run.checkpoints.glob("[0-9]*"), key=lambda path: int(path.name))


def _new_folder(run: RunFolder) -> tuple[Path, Path]:
    """A folder to write beside, and the name it gets in the end."""
    number = max((int(path.name) for path in folders(run)), default=0) + 1
    path = run.checkpoints / f"{number:04d}"
    beside = run.checkpoints / f".{number:04d}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    return beside, path


def _write_own(folder: Path, trainer: Trainer, averaging: TimedAveraging) -> tuple[str, str]:
    """This trainer's file: its name and its digest."""
    state, shard_progress = averaging.rank_state(), trainer.shard_progress
    tensors, numbers = optimizer_tensors(trainer.optimizer)
    tensors |= {"local": state.local_P, "random.cpu": torch.get_rng_state()}
    if trainer.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    facts = {
        "shard_index": trainer.shard_index,
        "shard_progress": shard_progress._asdict(),
        "averaging": {k: v for k, v in vars(state).items() if k != "local_P"},
        "weight": averaging.weight,
        "wait_for_data_s": trainer.wait_for_data_s,
        "optimizer": numbers,
    }
    name = f"trainer_{averaging.comm.rank:03d}.safetensors"
    return name, _write(folder / name, tensors, {"facts": json.dumps(facts)})


def _shared_tensors(state: GlobalState) -> dict[str, torch.Tensor]:
    """The tensors of a global state: theta, and those of the aggregator."""
    kept = {f"{AGGREGATOR}{k}": v for k, v in state.aggregator.items() if torch.is_tensor(v)}
    return {"theta": state.theta_P} | kept


def _shared_numbers(state: GlobalState) -> dict[str, Any]:
    """The rest of a global state, as JSON values."""
    numbers = {k: v for k, v in state.as_dict().items() if k != "theta_P"}
    rest = {k: v for k, v in state.aggregator.items() if not torch.is_tensor(v)}
    return numbers | {"aggregator": rest}


def _write(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, str]) -> str:
    """Write tensors through to the disk; the digest of the file."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(whole, metadata=facts)
    write_through(path, content)
    return _digest(content)


def _digest(content: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(content)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole."""

    path: Path
    facts: dict

    @property
    def config(self) -> TrainConfig:
        return parse_config(self.facts["config"], source=str(self.path))

    @property
    def trainers(self) -> int:
        return self.facts["trainers"]

    @property
    def rounds_done(self) -> int:
        return self.facts["averaging"]["rounds_done"]

    @property
    def last(self) -> dict[str, Any]:
        """Round and time of the last aggregation."""
        return self.facts["averaging"]["last"] or {"round": 0, "time_s": 0.0}

    @property
    def stopped(self) -> Stop:
        return Stop(self.facts["averaging"]["stopped"])

    def global_state(self) -> GlobalState:
        """The state of averaging that all trainers shared."""
        tensors = load((self.path / SHARED).read_bytes())
        numbers = self.facts["averaging"]
        aggregator = numbers["aggregator"] | {
            name.removeprefix(AGGREGATOR): tensor
            for name, tensor in tensors.items()
            if name.startswith(AGGREGATOR)
        }
        values = {**numbers, "theta_P": tensors["theta"], "aggregator": aggregator}
        return GlobalState.from_dict(values)

    def rank(self, rank: int) -> RankCheckpoint:
        """One trainer's part."""
        content = (self.path / f"trainer_{rank:03d}.safetensors").read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        return RankCheckpoint(load(content), json.loads(header["__metadata__"]["facts"]))

    def aggregate_unfinished(self, averaging: TimedAveraging) -> None:
        """Aggregate the round that was cut short, as far as every trainer came in it.

        `averaging` has taken on `global_state` before; another number of trainers continues.
        """
        ranks = [self.rank(rank) for rank in range(self.trainers)]
        device = averaging.theta_P.device
        contributions = [
            (
                saved.tensors["local"].to(device) - averaging.theta_P,
                saved.facts["weight"] * (saved.averaging.steps > 0),
            )
            for saved in ranks
        ]
        state = replace(averaging.round_state(), size=self.trainers, comm=None)
        averaging.theta_P = aggregate_updates(
            averaging.aggregator, averaging.theta_P, contributions, state
        )
        averaging.flat.write(averaging.theta_P)
        averaging.begin_round(averaging.comm.clock())


@dataclass(frozen=True)
class RankCheckpoint:
    """One trainer's part of a checkpoint."""

    tensors: dict[str, torch.Tensor]
    facts: dict

    @property
    def shard_progress(self) -> ShardProgress:
        taken, steps, counted = self.facts["shard_progress"].values()
        return ShardProgress(taken, steps, ShardSize(*counted))

    @property
    def averaging(self) -> RankState:
        return RankState(self.tensors["local"], **self.facts["averaging"])

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        restore_optimizer(optimizer, self.tensors, self.facts["optimizer"])

    def restore_random(self, device: torch.device) -> None:
        torch.set_rng_state(self.tensors["random.cpu"])
        if device.type == "cuda" and "random.cuda" in self.tensors:
            torch.cuda.set_rng_state(self.tensors["random.cuda"])


def newest(run: RunFolder) -> Checkpoint | None:
    """The newest checkpoint that is whole; those that are not are named. None: there is none."""
    for path in reversed(folders(run)):
        try:
            return open_checkpoint(path)
        except UserError as error:
            console.print(f"[yellow]{escape(str(error))}; the one before is taken", soft_wrap=True)
    return None


def open_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint with every byte checked; raises UserError if one is not as it was written."""
    try:
        facts = json.loads((path / MANIFEST).read_text())
        if facts["version"] != VERSION:
            raise UserError(f"{path} is of format {facts['version']}; this hvdtma reads {VERSION}")
        for name, digest in facts["files"].items():
            if _digest((path / name).read_bytes()) != digest:
                raise UserError(f"{path / name} is damaged: it is not what was written")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the checkpoint {path} cannot be read: {error}") from error
    return Checkpoint(path, facts)


def restore_best(run: RunFolder, checkpoint: Checkpoint) -> None:
    """Put the best round of the time back, unless the one that is there is not of a later round."""
    if 0 < round_of(run.best) <= checkpoint.rounds_done:
        return
    kept = checkpoint.path / BEST
    if kept.exists():
        with replacing(run.best) as beside:
            shutil.copyfile(kept, beside)
    else:
        run.best.unlink(missing_ok=True)


def is_saved(run: RunFolder, averaging: TimedAveraging) -> bool:
    """Whether the newest checkpoint is of where all stand at the end of training."""
    kept = folders(run)
    if not kept:
        return False
    saved = json.loads((kept[-1] / MANIFEST).read_text())["averaging"]
    now = (averaging.rounds_done, int(averaging.stopped))
    return (saved["rounds_done"], saved["stopped"]) == now
