"""Sweep from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.api.config import as_given
from hvdtma.api.run import Run
from hvdtma.core.errors import UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import TrainConfig
from hvdtma.sweeps.run import run_sweep
from hvdtma.sweeps.sweep import Sweep, SweepRequest
from hvdtma.sweeps.trial import Trial, best_of


class SweepResult(NamedTuple):
    """The result of a sweep.

    Attributes:
        trials: all trials by number, with `words`, `state`, `score` (on validation), `run`.
        best: the run with the best validation score.
    """

    trials: list[Trial]
    best: Run


@names_arguments
def sweep(
    config: FilePath | Mapping[str, Any] | TrainConfig,
    space: Mapping[str, str | Sequence[Any]],
    *,
    trials: int | None = None,
    search: str = "auto",
    seed: int = 0,
    jobs: int = 1,
    trainers: int | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> SweepResult:
    """Train one run for each choice of values, and return the trials and the best run.

        hvdtma.sweep("c.yaml", {"optimizer.lr": "1e-4..1e-2", "model.hidden": [64, 128]}, trials=8)

    Each trial is a process of its own, and its run is in RUN/trials. The same call goes on where a
    sweep stopped.

    Args:
        config: see `load_config`; its `run` is the folder of the sweep.
        space: key of the config -> a list of values, or a range "low..high".
        trials: number of trials; None: all combinations.
        search: `auto`, `grid`, `random`, or `tpe` (with Optuna).
        seed: of the search.
        jobs: trials at a time.
        trainers: of each trial, in one process; None: the config's.
        overwrite: remove an earlier sweep in the folder, with its trials.
        retry_failed: run failed trials again.

    Raises UserError for a key, a value or a config that is not valid, and if every trial failed;
    Interrupted after SIGTERM or Ctrl-C.
    """
    made = Sweep(
        SweepRequest(
            as_given(config),
            [f"{key}={_text(key, values)}" for key, values in space.items()],
            trials=trials,
            search=search,
            seed=seed,
            jobs=jobs,
            in_process=trainers,
            overwrite=overwrite,
            retry_failed=retry_failed,
        )
    )
    with ShutdownSignal() as shutdown:
        run_sweep(made, shutdown)
    best = best_of(made.trials)
    assert best is not None  # or `run_sweep` has raised an error
    return SweepResult(made.trials, Run(best.run))


def _text(key: str, values: str | Sequence[Any]) -> str:
    """The values of a key as on the command line."""
    if isinstance(values, str):
        return values
    if not isinstance(values, Sequence) or not values:
        raise UserError(f"{key} is {values!r}; give a list of values, or a range 'low..high'")
    texts = [yaml.safe_dump(value, default_flow_style=True, width=float("inf")) for value in values]
    return ",".join(text.removesuffix("...\n").strip() for text in texts)
