"""Commands for clusters: submit, drive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from hvdtma.cli.runs import OrResume, Overrides, OverwriteRun
from hvdtma.core.signals import ShutdownSignal

ConfigFile = Annotated[
    Path,
    typer.Argument(
        help="A YAML file; or a first key=value, for the defaults of all others.",
        show_default=False,
    ),
]
ArrayParallel = Annotated[
    int | None,
    typer.Option(
        help="Jobs of a sweep that run at a time. Default: no limit.", min=1, show_default=False
    ),
]


def of_cluster(text: str, least: int | None = None) -> OptionInfo:
    """An option whose default is in the cluster's YAML (`slurm.defaults`)."""
    return typer.Option(help=f"{text} Default: the cluster's.", show_default=False, min=least)


def submit(
    config: ConfigFile,
    overrides: Overrides = None,
    nodes: Annotated[int, typer.Option(help="Number of nodes.", min=1)] = 1,
    tasks_per_node: Annotated[
        int, typer.Option(help="Tasks on each node. Each task is one trainer.", min=1)
    ] = 1,
    gpus_per_node: Annotated[int, typer.Option(help="GPUs on each node.", min=0)] = 0,
    time: Annotated[
        str,
        typer.Option(
            help="Time limit, after which the job is requeued: 4h, 90m, 30 (minutes), 1-12:00:00."
        ),
    ] = "1h",
    partition: Annotated[str | None, of_cluster("Slurm partition.")] = None,
    account: Annotated[str | None, of_cluster("Account to charge.")] = None,
    qos: Annotated[str | None, of_cluster("Quality of service.")] = None,
    cpus_per_task: Annotated[int | None, of_cluster("CPUs of each task.", least=1)] = None,
    mem: Annotated[
        str | None, of_cluster("Memory of each node: 40G, 4000M, or 0 for all of it.")
    ] = None,
    gpu_bind: Annotated[
        str | None, of_cluster("GPUs that each task sees: closest, single:1, none.")
    ] = None,
    nodelist: Annotated[str | None, of_cluster("Nodes that the job must get.")] = None,
    exclude: Annotated[str | None, of_cluster("Nodes that the job must not get.")] = None,
    mail_type: Annotated[str | None, of_cluster("Events to send a mail about: END,FAIL.")] = None,
    mail_user: Annotated[str | None, of_cluster("Address of the mails.")] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(help="A sweep as a job array: key=a,b,c. Can be repeated.", metavar="SWEEP"),
    ] = None,
    array_parallel: ArrayParallel = None,
    cluster: Annotated[
        str, typer.Option(help="Where to submit: slurm | local (this machine).", metavar="CLUSTER")
    ] = "slurm",
    cluster_config: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file of cluster defaults. Default: $HVDTMA_CLUSTER, or "
            "~/.config/hvdtma/cluster.yaml.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the job. Default: the run's.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of logs and pickles. Default: RUN.jobs.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the batch script, and submit nothing.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Follow the job's state and validation scores to the end."),
    ] = False,
) -> None:
    """Submit a run, or a sweep of runs, to Slurm. Runs save before the time limit, and resume."""
    from slurm import submit as submit_job
    from slurm.sizes import parse_memory_gb

    options = {
        "account": account,
        "qos": qos,
        "cpus_per_task": cpus_per_task,
        "memory_gb": None if mem is None else parse_memory_gb(mem),
        "gpu_bind": gpu_bind,
        "nodelist": nodelist,
        "exclude": exclude,
        "mail_type": mail_type,
        "mail_user": mail_user,
    }
    submission = submit_job(
        config,
        overrides or [],
        nodes=nodes,
        tasks_per_node=tasks_per_node,
        gpus_per_node=gpus_per_node,
        time=time,
        partition=partition,
        options=options,
        array=array or [],
        array_parallel=array_parallel,
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
    config: ConfigFile,
    overrides: Overrides = None,
    local: Annotated[
        int | None,
        typer.Option(help="Start this many trainers on this machine, without Slurm.", min=1),
    ] = None,
    max_restarts: Annotated[
        int, typer.Option(help="Number of restarts of each trainer; 0: none.", min=0)
    ] = 100,
    restart_delay_s: Annotated[float, typer.Option(help="Seconds before a restart.", min=0)] = 5.0,
    tasks_per_node: Annotated[
        str | None,
        typer.Option(
            help="Trainers on each node, as Slurm writes it: 2(x3),1. Default: the job's tasks.",
            show_default=False,
        ),
    ] = None,
    or_resume: OrResume = False,
    overwrite: OverwriteRun = False,
) -> None:
    """Start elastic trainers inside sbatch or salloc, and restart lost ones."""
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
