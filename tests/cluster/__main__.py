"""`python tests/cluster up`: try Slurm on one machine; see docs/clusters.md."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

sys.path[0] = str(Path(__file__).parents[1])  # started as a folder, which holds the package itself

from cluster.cluster import Cluster  # noqa: E402

DEFAULT_DIR = Path.home() / ".cache/hvdtma/slurm"
Dir = Annotated[Path, typer.Option("--dir", help="Directory of all its files.")]

app = typer.Typer(help="A Slurm cluster of several nodes on this machine.", no_args_is_help=True)


@app.command()
def up(
    dir: Dir = DEFAULT_DIR,
    nodes: Annotated[int, typer.Option(help="Number of nodes.", min=1)] = 4,
    cpus: Annotated[int, typer.Option(help="CPUs of each node, real or not.", min=1)] = 8,
    bind: Annotated[
        bool, typer.Option(help="Bind tasks to CPUs; each node has the machine's CPUs.")
    ] = False,
) -> None:
    """Start a cluster."""
    began = time.monotonic()
    cluster = Cluster(dir)
    try:
        if bind:
            cluster.up(nodes, os.cpu_count() or 1, task_plugin="task/affinity")
        else:
            cluster.up(nodes, cpus)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    print(
        f"""{nodes} nodes are up after {time.monotonic() - began:.1f} s. Use them from a shell with

    export SLURM_CONF={cluster.conf}
    srun -N{nodes} sh -c 'echo $SLURMD_NODENAME'

Logs are in {cluster.log_dir}. `python tests/cluster down` ends it and removes its files."""
    )


@app.command()
def env(dir: Dir = DEFAULT_DIR) -> None:
    """Print shell commands that select the cluster: eval "$(python tests/cluster env)"."""
    print(f"export SLURM_CONF={Cluster(dir).conf}")


@app.command()
def status(dir: Dir = DEFAULT_DIR) -> None:
    """Show the nodes and the jobs."""
    cluster = Cluster(dir)
    if not cluster.conf.exists():
        print(f"no cluster in {dir}: `python tests/cluster up` starts one", file=sys.stderr)
        raise SystemExit(1)
    print(cluster.run("sinfo"), cluster.run("squeue"), sep="\n\n")


@app.command()
def down(dir: Dir = DEFAULT_DIR) -> None:
    """End the cluster and all its jobs, and remove its directory."""
    try:
        Cluster(dir).down()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    app()
