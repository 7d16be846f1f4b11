"""Train from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch.distributed as dist

from hvdtma.api.arguments import FilePath, check_keywords, names_arguments
from hvdtma.api.config import as_given
from hvdtma.api.run import Run
from hvdtma.core.config import all_keys
from hvdtma.core.files import expanded
from hvdtma.core.launcher import launched_as
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.request import check_here, train_request
from hvdtma.training.callback import Callback, check_callbacks
from hvdtma.training.launch import run_request_here


@names_arguments
def train(
    config: FilePath | Mapping[str, Any] | TrainConfig | None = None,
    *,
    trainers: int | None = None,
    resume: Run | FilePath | None = None,
    overwrite: bool = False,
    comm: str = "auto",
    callbacks: Sequence[Callback] = (),
    **overrides: Any,
) -> Run:
    """Train, and return the run.

        hvdtma.train(store="graph.zarr", run="runs/mine", rounds=10, trainers=3)
        hvdtma.train("configs/paper.yaml", store="graph.zarr", **{"model.hidden": 64})
        hvdtma.train(resume="runs/mine", rounds=20)
        hvdtma.train(store="other.zarr", run="runs/tuned", rounds=5, init="runs/mine")

    In a process of its own, `trainers` are trained in this process, one computing at a time on a
    virtual clock. Under horovodrun, torchrun or srun each process calls this function and is one
    trainer; the arguments of the first one win.

    Args:
        config: see `load_config`.
        trainers: how many trainers; None: as many as the launcher started, else as the config
            says, else one.
        resume: a run to continue from its newest checkpoint; the config is then its own.
        overwrite: replace a run that is there.
        comm: transport between processes: `auto`, `horovod` or `torch`. `auto` is Horovod under
            horovodrun, mpirun and srun; torch.distributed under torchrun, and under srun where
            Horovod is not installed.
        callbacks: a list of objects that are told of rounds and steps, on the first trainer.
        overrides: keys of the config, see `load_config`. `init` may also be a `Run` or a
            pretrained model.

    Raises UserError for anything in the arguments, the config or the store that is wrong;
    NonFiniteLoss if training diverged; Interrupted after SIGTERM or SIGUSR2, once the run is saved.
    """
    _check_overrides(overrides)
    check_callbacks(callbacks)
    if trainers is not None:
        overrides = overrides | {"trainers": trainers}
    if isinstance(overrides.get("init"), os.PathLike):  # a run, a pretrained model
        overrides = overrides | {"init": str(expanded(overrides["init"]))}
    from_run = None if resume is None else expanded(resume)
    given = as_given(config)
    check_here(from_run, given)
    request = train_request(given, overrides, resume=from_run, overwrite=overwrite)
    in_process = request.config.trainers if _is_alone(request.config) else None
    with ShutdownSignal() as shutdown:
        run_request_here(
            request,
            in_process=None if in_process == 1 else in_process,
            transport=comm,
            shutdown=shutdown,
            callbacks=callbacks,
        )
    return Run(request.config.run)


def _check_overrides(overrides: Mapping[str, Any]) -> None:
    """Raise UserError for a keyword that is neither an argument of `train` nor a config key.

    A key within a group, such as `hidden`, is left to the config, which names the group.
    """
    arguments = ["config", "trainers", "resume", "overwrite", "comm", "callbacks"]
    within_groups = {key.split(".")[-1] for key in all_keys(TrainConfig) if "." in key}
    given = {key.split(".")[0] for key in overrides} - within_groups
    check_keywords("train", given, list(dict.fromkeys([*arguments, *TrainConfig.model_fields])))


def _is_alone(config: TrainConfig) -> bool:
    """Whether neither a launcher nor the calling script started other trainers."""
    return launched_as()[1] == 1 and not dist.is_initialized() and not config.elastic
