"""Checkpoints: everything that a run needs to resume as if it had not been interrupted.

    checkpoints/0007/checkpoint.json            progress, and the digests of the other files
                     shared.safetensors         global parameters, state of the aggregator
                     best.safetensors           best parameters so far, if a round was scored
                     trainer_000.safetensors    local parameters, optimizer and random state

Every trainer writes its own file to a temporary folder. Once it is complete, the folder is renamed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from safetensors.torch import load, save

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.aggregate.aggregator import aggregate_updates
from hvdtma.aggregate.optimizer_state import optimizer_tensors, restore_optimizer
from hvdtma.aggregate.state import GlobalState, RankState
from hvdtma.comm.communicator import run_on_all, run_on_rank0
from hvdtma.core.console import console
from hvdtma.core.digests import damaged, digest_of, read_json, with_digest
from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing, sync_folder, write_through
from hvdtma.core.train_config import TrainConfig, parse_config
from hvdtma.runs.run_folder import RunFolder, round_of
from hvdtma.sampling.resident import ShardSize
from hvdtma.training.trainer import ShardProgress, Trainer

VERSION = 3
AGGREGATOR = "aggregator."
MANIFEST, SHARED, BEST = "checkpoint.json", "shared.safetensors", "best.safetensors"


def write_checkpoint(run: RunFolder, trainer: Trainer, averaging: TimedAveraging) -> None:
    """Write a checkpoint, completely or not at all, and delete the oldest one. Collective.

    Raises UserError on every trainer if one of them cannot write.
    """
    comm = averaging.comm
    partial, path = run_on_rank0(comm, lambda: _new_folder(run))
    state = averaging.global_state()
    rank_file = run_on_all(comm, lambda: _write_rank(partial, trainer, averaging))
    files = dict(comm.all_gather_object(rank_file))
    shard_indices = comm.all_gather_object(trainer.shard_index)

    def finish() -> None:
        files[SHARED] = _write(partial / SHARED, _shared_tensors(state), {})
        if run.best.exists():
            best = run.best.read_bytes()
            write_through(partial / BEST, best)
            files[BEST] = digest_of(best)
        facts = {
            "version": VERSION,
            "config": trainer.config.resolved.model_dump(mode="json"),
            "trainers": comm.size,
            "num_shards": trainer.num_shards,
            "shard_indices": shard_indices,
            "reassigning": trainer.next_shard is not None,
            "assignment": trainer.assignment,
            "assigned_at": trainer.assigned_at,
            "order": trainer.store.order,
            "averaging": _shared_numbers(state),
            "files": files,
        }
        write_through(partial / MANIFEST, json.dumps(with_digest(facts), indent=2).encode())
        sync_folder(partial)
        partial.rename(path)
        sync_folder(path.parent)
        for old in folders(run)[: -trainer.config.checkpoint.keep]:
            shutil.rmtree(old)

    run_on_rank0(comm, finish)


def folders(run: RunFolder) -> list[Path]:
    """The run's checkpoints, oldest first."""
    return sorted(run.checkpoints.glob("[0-9]*"), key=lambda path: int(path.name))


def _new_folder(run: RunFolder) -> tuple[Path, Path]:
    """Create a temporary folder; return it, and the name that it gets when it is complete."""
    number = max((int(path.name) for path in folders(run)), default=0) + 1
    path = run.checkpoints / f"{number:04d}"
    partial = run.checkpoints / f".{number:04d}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial, path


def _write_rank(folder: Path, trainer: Trainer, averaging: TimedAveraging) -> tuple[str, str]:
    """Write this trainer's file; return its name and its digest."""
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
    """The tensors of a global state: theta, and the aggregator's tensors."""
    tensors = {f"{AGGREGATOR}{k}": v for k, v in state.aggregator.items() if torch.is_tensor(v)}
    mean = {} if state.mean_P is None else {"mean": state.mean_P}
    return {"theta": state.theta_P} | mean | tensors


def _shared_numbers(state: GlobalState) -> dict[str, Any]:
    """The JSON values of a global state."""
    numbers = {k: v for k, v in state.as_dict().items() if k not in ("theta_P", "mean_P")}
    aggregator = {k: v for k, v in state.aggregator.items() if not torch.is_tensor(v)}
    return numbers | {"aggregator": aggregator}


def _write(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, str]) -> str:
    """Write tensors to the disk; return the digest of the file."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(on_cpu, metadata=facts)
    write_through(path, content)
    return digest_of(content)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are complete."""

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
        """The global state of averaging."""
        tensors = load((self.path / SHARED).read_bytes())
        numbers = self.facts["averaging"]
        aggregator = numbers["aggregator"] | {
            name.removeprefix(AGGREGATOR): tensor
            for name, tensor in tensors.items()
            if name.startswith(AGGREGATOR)
        }
        parameters = {"theta_P": tensors["theta"], "mean_P": tensors.get("mean")}
        values = {**numbers, **parameters, "aggregator": aggregator}
        return GlobalState.from_dict(values)

    def rank(self, rank: int) -> RankCheckpoint:
        """The part of one trainer."""
        content = (self.path / f"trainer_{rank:03d}.safetensors").read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        return RankCheckpoint(load(content), json.loads(header["__metadata__"]["facts"]))

    def aggregate_unfinished(self, averaging: TimedAveraging) -> None:
        """Aggregate the unfinished round: for a resumption with another number of trainers.

        `averaging` must have loaded `global_state` before.
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
        next_P = aggregate_updates(averaging.aggregator, averaging.theta_P, contributions, state)
        averaging.theta_P = averaging.flat.with_frozen(next_P, averaging.theta_P)
        averaging.flat.write(averaging.theta_P)
        averaging.count_mean_steps([saved.averaging.steps for saved in ranks])
        averaging.begin_round(averaging.comm.clock())


@dataclass(frozen=True)
class RankCheckpoint:
    """The part of one trainer in a checkpoint."""

    tensors: dict[str, torch.Tensor]
    facts: dict

    @property
    def shard_progress(self) -> ShardProgress:
        progress = self.facts["shard_progress"]
        return ShardProgress(**progress | {"counted": ShardSize(*progress["counted"])})

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
    """The newest complete checkpoint, or None. Prints a warning for each damaged one."""
    for path in reversed(folders(run)):
        try:
            return open_checkpoint(path)
        except UserError as error:
            console.print(f"[yellow]{escape(str(error))}; trying the previous one", soft_wrap=True)
    return None


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint and verify all its files. Raises UserError if one is damaged."""
    try:
        facts = read_json(path / MANIFEST)
        if facts["version"] != VERSION:
            raise UserError(
                f"{path} has format version {facts['version']}; this hvdtma reads {VERSION}"
            )
        for name, digest in facts["files"].items():
            if digest_of((path / name).read_bytes()) != digest:
                raise damaged(path / name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"the checkpoint {path} cannot be read: {error}") from error
    return Checkpoint(path, facts)


def restore_best(run: RunFolder, checkpoint: Checkpoint) -> None:
    """Restore the checkpoint's best parameters if the run's are of a round after the checkpoint."""
    if 0 < round_of(run.best) <= checkpoint.rounds_done:
        return
    saved = checkpoint.path / BEST
    if saved.exists():
        with replacing(run.best) as temporary:
            shutil.copyfile(saved, temporary)
    else:
        run.best.unlink(missing_ok=True)


def is_saved(run: RunFolder, averaging: TimedAveraging) -> bool:
    """Whether the newest checkpoint has the state at the end of training."""
    checkpoints = folders(run)
    if not checkpoints:
        return False
    saved = read_json(checkpoints[-1] / MANIFEST)["averaging"]
    now = (averaging.rounds_done, int(averaging.stopped))
    return (saved["rounds_done"], saved["stopped"]) == now
