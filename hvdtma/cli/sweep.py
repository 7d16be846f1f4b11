"""The command that runs a sweep."""

from __future__ import annotations

from typing import Annotated

import typer

from hvdtma.cli.cluster import ArrayParallel, ConfigFile
from hvdtma.core.signals import ShutdownSignal


def sweep(
    config: ConfigFile,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            help="Keys of the config: key=a,b,c tries each value, key=low..high draws from a range "
            "(low..high:log, :linear), key=value holds for all trials.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Number of trials. Default: all combinations.", min=1),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            help="auto | grid | random | tpe. auto is the grid where it fits in --trials; else TPE "
            "for ranges where Optuna is installed; else random."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the search.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Trials at a time, which share the cores.", min=1)] = 1,
    in_process: Annotated[
        int | None,
        typer.Option(
            help="Trainers of each trial, in one process. Default: the config's `trainers`.", min=1
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove the sweep in RUN with its trials.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Submit all trials as a job array: slurm, or local (this machine). Default: "
            "processes of this command.",
            show_default=False,
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(help="With --cluster: nodes of each trial.", min=1)] = 1,
    tasks_per_node: Annotated[
        int, typer.Option(help="With --cluster: tasks on each node; each is one trainer.", min=1)
    ] = 1,
    gpus_per_node: Annotated[
        int, typer.Option(help="With --cluster: GPUs on each node.", min=0)
    ] = 0,
    time: Annotated[str, typer.Option(help="With --cluster: time limit of a job.")] = "1h",
    partition: Annotated[
        str | None, typer.Option(help="With --cluster: Slurm partition.", show_default=False)
    ] = None,
    array_parallel: ArrayParallel = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --cluster: follow the jobs to their end.")
    ] = False,
) -> None:
    """Train one run for each choice of values, and print the best one by validation.

    The trials are runs in RUN/trials. The same command goes on where a sweep stopped.
    """
    with ShutdownSignal(process_ends=True) as shutdown:  # before the imports, which take seconds
        from hvdtma.core.config import config_and_words
        from hvdtma.sweeps.run import run_sweep
        from hvdtma.sweeps.sweep import Sweep, SweepRequest

        resources = {"nodes": nodes, "tasks_per_node": tasks_per_node, "time": time}
        resources |= {"gpus_per_node": gpus_per_node, "partition": partition}
        resources |= {"array_parallel": array_parallel}
        file, words = config_and_words(config, keys)
        request = SweepRequest(
            file, words, trials=trials, search=search, seed=seed, jobs=jobs,
            in_process=in_process, overwrite=overwrite, retry_failed=retry_failed,
            cluster=cluster, resources=resources, watch=watch,
        )  # fmt: skip
        run_sweep(Sweep(request), shutdown)
