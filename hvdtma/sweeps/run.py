"""Runs the trials of a sweep, as processes of this machine or as jobs of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from hvdtma.core.config import load_as
from hvdtma.core.console import console, results
from hvdtma.core.errors import Interrupted, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import TrainConfig
from hvdtma.sweeps.array import submit_trials
from hvdtma.sweeps.process import TrialProcesses
from hvdtma.sweeps.sweep import Sweep
from hvdtma.sweeps.table import result_lines, result_table
from hvdtma.sweeps.trial import Trial

RunTrial = Callable[[Trial, Path], Trial]
"""Trains a trial from a config file, and returns it with its result."""


def run_sweep(sweep: Sweep, shutdown: ShutdownSignal | None = None) -> None:
    """Run the trials that have no result, and print the results of all.

    Raises Interrupted if a signal comes, and UserError if every trial failed.
    """
    title = f"{sweep.search.trials} trials, {sweep.search.name} search"
    console.print(f"{title}, in {sweep.folder.path}", markup=False, soft_wrap=True)
    for key, values in sweep.space.keys.items():
        console.print(f"  {key}: {values}", markup=False, soft_wrap=True)
    if sweep.request.cluster is None:
        run_here(sweep, shutdown)
    else:
        try:
            run_on_cluster(sweep)
        except UserError:  # for example, some jobs still wait in the queue
            if any(trial.state == "finished" for trial in sweep.trials):
                print_results(sweep)
            raise
    print_results(sweep)


def print_results(sweep: Sweep) -> None:
    """Print the table of results to stdout; raises UserError if every trial failed."""
    out = results()
    out.print(result_table(sweep.trials))
    for line in result_lines(sweep.trials):
        out.print(line, markup=False, soft_wrap=True)
    if all(trial.state == "failed" for trial in sweep.trials):
        raise UserError(
            f"all {len(sweep.trials)} trials failed; correct the cause, and run them again with "
            "--retry-failed"
        )
    waiting = sum(trial.state == "started" for trial in sweep.trials)
    if waiting:
        text = f"{waiting} trials have no result yet; the same command takes them in, and submits "
        console.print(f"{text}again those that ended without one", soft_wrap=True)


def run_here(
    sweep: Sweep, shutdown: ShutdownSignal | None = None, run_trial: RunTrial | None = None
) -> None:
    """Train the trials in processes of this machine.

    Args:
        shutdown: its signal makes the running trials save and end.
        run_trial: trains a trial; None: `TrialProcesses`.

    Raises Interrupted after Ctrl-C or the signal; the same sweep then goes on.
    """
    processes = TrialProcesses(sweep.in_process)
    (shutdown or ShutdownSignal()).on_signal(processes.interrupt)
    run_trial = run_trial or processes.run
    todo, running = sweep.todo(), set[Future[Trial]]()
    with ThreadPoolExecutor(sweep.request.jobs) as pool:
        try:
            while (todo and not processes.interrupted) or running:
                while todo and not processes.interrupted and len(running) < sweep.request.jobs:
                    trial, config = sweep.next_trial(todo.pop(0))
                    if config is not None:
                        running.add(pool.submit(run_trial, trial, config))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    if future.result().state != "started":
                        sweep.keep(future.result())
        except KeyboardInterrupt:
            processes.interrupt()
    if processes.interrupted:
        finished = sum(trial.state == "finished" for trial in sweep.trials)
        raise Interrupted(
            f"interrupted after {finished} of {sweep.search.trials} trials; the same command "
            "goes on"
        )


def run_on_cluster(sweep: Sweep) -> None:
    """Take in the results of jobs that have ended, and submit the trials without one."""
    _take_results(sweep)
    configs = []
    for number in sweep.todo():
        _, path = sweep.next_trial(number)
        if path is not None:
            configs.append(load_as(TrainConfig, path))
    if not configs:
        return
    request = sweep.request
    submission = submit_trials(
        configs, sweep.folder.path, request.cluster or "slurm", request.resources
    )
    console.print(submission.describe(), markup=False, soft_wrap=True)
    if request.watch or request.cluster == "local":  # these jobs end with this machine
        submission.watch()
        _take_results(sweep)


def _take_results(sweep: Sweep) -> None:
    for trial in sweep.trials:
        if trial.state == "started" and (found := trial.with_result()).state != "started":
            sweep.keep(found)
