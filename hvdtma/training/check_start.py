"""Checks of a run before its trainers start, as before a job waits in a queue."""

from __future__ import annotations

from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.folder import StartMode
from hvdtma.runs.loggers import make_loggers
from hvdtma.runs.run_folder import RunFolder
from hvdtma.runs.start_rules import resolve_start_mode
from hvdtma.tasks import make_model, make_task
from hvdtma.training.freeze import freeze
from hvdtma.training.initial import load_initial
from hvdtma.training.set_up import make_aggregator, open_checked
from hvdtma.training.start import find_checkpoint, start_rules


def check_start(config: TrainConfig, trainers: int) -> StartMode:
    """What trainers that start with `StartMode.AUTO` will do; never `AUTO`. Makes nothing.

    Runs the checks of `start_run`, except for those that need the trainers' machines: devices,
    local disks, and that no other process trains the run.

    Raises UserError if the folder of the run, the store, or a plug-in does not fit the config.
    """
    run = RunFolder(config.run)
    mode = resolve_start_mode(run, config.resolved, StartMode.AUTO, start_rules(run, config))
    if mode is StartMode.DONE:
        return mode
    store = open_checked(config, trainers)
    task = make_task(config, store)
    model = make_model(config, store, task)
    freeze(model, config.freeze)
    make_aggregator(config)
    make_loggers(config)
    if mode is StartMode.RESUME:
        find_checkpoint(run, config)
        run.check_same(store)
    else:
        load_initial(model, task, config, store)
    return mode
