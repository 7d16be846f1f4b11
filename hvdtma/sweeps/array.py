"""Trials as the jobs of a cluster: all at once, as one job array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hvdtma.core.train_config import TrainConfig
from slurm.submission import Submission, submit


def submit_trials(
    configs: Sequence[TrainConfig], sweep: Path, cluster: str, resources: Mapping[str, Any]
) -> Submission:
    """Submit a run for each config.

    Args:
        cluster: `slurm`, or `local` for this machine.
        resources: keyword arguments of `slurm.submit`, such as `nodes` and `time`.

    Raises UserError as `slurm.submit` does.
    """
    folder = sweep.with_name(f"{sweep.name}.jobs")
    given: dict[str, Any] = {"folder": folder, "name": sweep.name, **resources}
    if len(configs) == 1:  # the last trial that has no result yet
        given["array_parallel"] = None
    return submit(list(configs), cluster=cluster, **given)
