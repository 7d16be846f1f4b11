"""Rules by which a run starts, replaces another run, resumes, or is finished already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from hvdtma.core.config import Component, flattened
from hvdtma.core.errors import UserError
from hvdtma.runs.folder import BaseRunFolder, StartMode

C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class StartRules(Generic[C]):
    """The facts about a run by which its start mode is resolved.

    Attributes:
        resumable_keys: keys and groups of the config that may change when a run is resumed.
        inputs: the files and folders that the run reads; a folder that holds one is not replaced.
        recorded_config: reads the config in a run's folder.
        has_checkpoint: whether the run can be resumed.
        has_work_left: whether a finished run would train on under the present config, which may
            have larger limits. Only called if there is a checkpoint.
        compared: the config without values that are compared in another way, such as the paths of
            data, whose contents have fingerprints.
    """

    resumable_keys: Collection[str]
    inputs: Iterable[Path]
    recorded_config: Callable[[], C]
    has_checkpoint: Callable[[], bool]
    has_work_left: Callable[[], bool]
    compared: Callable[[C], C] = field(default=lambda config: config)


def lock_and_resolve(
    run: BaseRunFolder, config: C, mode: StartMode, rules: StartRules[C]
) -> StartMode:
    """Lock a run's folder and resolve the start mode; on rank 0.

    The lock is released if there is nothing to do (`DONE`) and on errors. Raises UserError as
    `BaseRunFolder.lock` and `resolve_start_mode` do.
    """
    run.lock_for(mode)
    with ExitStack() as unlocking:
        unlocking.callback(run.unlock)
        resolved = resolve_start_mode(run, config, mode, rules)
        if resolved is not StartMode.DONE:
            unlocking.pop_all()
    return resolved


def resolve_start_mode(
    run: BaseRunFolder, config: C, mode: StartMode, rules: StartRules[C]
) -> StartMode:
    """Resolve the start mode to `NEW`, `OVERWRITE`, `RESUME` or `DONE`.

    Args:
        config: with absolute paths, as the recorded one.

    Raises UserError if the folder holds something that may not be replaced, if it holds no run to
    resume, and if the run was made with another config.
    """
    exists = mode is StartMode.RESUME or run.versions.exists()
    if mode is StartMode.AUTO and run.outdated.exists():
        mode = StartMode.OVERWRITE
    if mode in (StartMode.NEW, StartMode.OVERWRITE) or not exists:
        overwrite = mode is StartMode.OVERWRITE
        run.check_removable(*rules.inputs, overwrite=overwrite)
        return StartMode.OVERWRITE if overwrite else StartMode.NEW
    run.check_there()
    recorded, given = (rules.compared(each) for each in (rules.recorded_config(), config))
    check_same_config(recorded, given, run.path, rules.resumable_keys)
    can_resume = rules.has_checkpoint()
    if mode is StartMode.RESUME and not can_resume:
        raise no_checkpoint(run.path)
    if run.summary.exists() and not (can_resume and rules.has_work_left()):
        return StartMode.DONE
    return StartMode.RESUME if can_resume else StartMode.OVERWRITE


def no_checkpoint(path: Path) -> UserError:
    """The error that a run has no checkpoint to resume from."""
    return UserError(
        f"{path} has no checkpoint to resume from; --overwrite starts the run again "
        "(checkpoint.every says how often a checkpoint is written)"
    )


def check_same_config(
    recorded: Component, config: Component, path: Path, free: Collection[str]
) -> None:
    """Raises UserError, listing the differences, if the run at `path` has another config.

    Args:
        free: keys that may differ; a group's name stands for all of its keys.
    """
    before, now = (flattened(each.model_dump(mode="json")) for each in (recorded, config))
    changed = [
        f"{key} was {before.get(key)} and is {now.get(key)}"
        for key in now | before
        if not {key, key.split(".")[0]} & set(free) and before.get(key) != now.get(key)
    ]
    if changed:
        raise UserError(f"{path} is of another config: " + "; ".join(changed))
