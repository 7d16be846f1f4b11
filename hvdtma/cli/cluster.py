"""Commands for clusters: submit, drive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.signals import ShutdownSignal


def submit(
    config: Annotated[Path, typer.Argument(help="A YAML config.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, e.g. model.hidden=128")
    ] = None,
    nodes: Annotated[int, typer.Option(help="Number of nodes.", min=1)] = 1,
    tasks_per_node: Annotated[
        int, typer.Option(help="Tasks on each node; each task is one trainer.", min=1)
    ] = 1,
    gpus_per_node: Annotated[int, typer.Option(help="GPUs on each node.", min=0)] = 0,
    time: Annotated[
        str,
        typer.Option(
            help="Time limit: 4h, 90m, 30 (minutes), 1-12:00:00. The job is requeued after it."
        ),
    ] = "1h",
    partition: Annotated[
        str | None, typer.Option(help="Partition; default: the cluster's.", show_default=False)
    ] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(help="key=a,b,c: a sweep, as a job array. May be repeated.", metavar="SWEEP"),
    ] = None,
    cluster: Annotated[
        str, typer.Option(help="slurm | local (this machine)", metavar="CLUSTER")
    ] = "slurm",
    cluster_config: Annotated[
        Path | None,
        typer.Option(
            help="Cluster defaults; else $HVDTMA_CLUSTER or ~/.config/hvdtma/cluster.yaml.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the job; default: the run's.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for logs and pickles; default: RUN.jobs.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the batch script, submit nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow state and validation scores to the end.")
    ] = False,
) -> None:
    """Submit a run, or a sweep of runs, to Slurm. It saves before the time limit, and resumes."""
    from slurm import submit as submit_job

    submission = submit_job(
        config,
        overrides or [],
        nodes=nodes,
        tasks_per_node=tasks_per_node,
        gpus_per_node=gpus_per_node,
        time=time,
        partition=partition,
        array=array or [],
        cluster=cluster,
        cluster_config=cluster_config,
        name=name,
        folder=folder,
        dry_run=dry_run,
    )
    typer.echo(submission.script if dry_run else submission.describe())
    if watch and not dry_run:
        raise typer.Exit(submission.watch())


def drive(
    config: Annotated[Path, typer.Argument(help="A YAML config.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, e.g. model.hidden=128")
    ] = None,
    local: Annotated[
        int | None,
        typer.Option(help="Start this many trainers here, without Slurm.", min=1),
    ] = None,
    max_restarts: Annotated[
        int, typer.Option(help="Restarts of each lost trainer; 0: none.", min=0)
    ] = 100,
    restart_delay_s: Annotated[float, typer.Option(help="Seconds before a restart.", min=0)] = 5.0,
    tasks_per_node: Annotated[
        str | None,
        typer.Option(
            help="Trainers of each node, as Slurm writes it: 2(x3),1. Default: the job's tasks.",
            show_default=False,
        ),
    ] = None,
    or_resume: Annotated[
        bool, typer.Option("--or-resume", help="Resume the config's run if it exists.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run.")] = False,
) -> None:
    """Start elastic trainers, inside sbatch or salloc, and start lost ones again."""
    with ShutdownSignal(process_ends=True) as shutdown:  # before the imports, which take seconds
        from slurm.driver import drive as drive_run

        status = drive_run(
            config,
            overrides or [],
            local=local,
            tasks_per_node=tasks_per_node,
            max_restarts=max_restarts,
            restart_delay_s=restart_delay_s,
            or_resume=or_resume,
            overwrite=overwrite,
            shutdown=shutdown,
        )
    raise typer.Exit(status)
