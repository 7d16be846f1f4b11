"""The command that plans: what a build and a run will take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.errors import UserError


def plan(
    config: Annotated[Path, typer.Argument(help="A YAML config.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, e.g. model.hidden=128")
    ] = None,
    trainers: Annotated[
        int | None, typer.Option(help="How many; default the config's, or 1.", min=1)
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Of a store that is not there yet.")] = None,
    edges: Annotated[int | None, typer.Option(help="As given; undirected ones once.")] = None,
    features: Annotated[int | None, typer.Option(help="Features of a node.")] = None,
    feature_dtype: Annotated[str, typer.Option(help="float32 | float16")] = "float32",
    undirected: Annotated[
        bool, typer.Option("--undirected/--directed", help="Whether an edge goes both ways.")
    ] = False,
    classes: Annotated[int, typer.Option(help="Classes of labels; 0 without.")] = 0,
    edge_types: Annotated[int, typer.Option(help="Types of edges; 0 without.")] = 0,
    hold_out: Annotated[str, typer.Option(help="links | nodes")] = "links",
    valid: Annotated[float, typer.Option(help="As for build.")] = 0.05,
    test: Annotated[float, typer.Option(help="As for build.")] = 0.05,
    negatives: Annotated[int, typer.Option(help="As for build.")] = 1000,
    memory_gb: Annotated[
        float | None, typer.Option(help="Of the build; a trainer's is memory_gb=.")
    ] = None,
    latency_us: Annotated[
        float | None,
        typer.Option(help="Latency between trainers in microseconds. Default: 50."),
    ] = None,
    bandwidth_gbps: Annotated[
        float | None,
        typer.Option(
            help="Bandwidth between trainers in Gbit/s. Without it, the time of an aggregation is "
            "not predicted."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="No probes, and so no times.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what building, training and scoring will take: memory, disk, time, averaging."""
    import json

    from hvdtma.core.train_config import load_config
    from hvdtma.graph.builder import BuildOptions
    from hvdtma.plan import PlannedGraph
    from hvdtma.plan import plan as plan_run
    from hvdtma.plan.describe import print_plan

    loaded = load_config(config, overrides)
    options = BuildOptions(
        hold_out=hold_out,
        valid=valid,
        test=test,
        negatives=negatives,
        feature_dtype=feature_dtype,
    )
    graph = None
    sizes = {"--nodes": nodes, "--edges": edges, "--features": features}
    if not loaded.store.exists() and any(size is not None for size in sizes.values()):
        if nodes is None or edges is None or features is None:
            missing = ", ".join(name for name, size in sizes.items() if size is None)
            raise UserError(f"there is no store at {loaded.store}, and {missing} is missing")
        graph = PlannedGraph(
            nodes,
            edges,
            features,
            undirected=undirected,
            classes=classes,
            edge_types=edge_types,
            options=options,
            memory_gb=memory_gb,
        )
    made = plan_run(
        loaded,
        trainers=trainers,
        graph=graph,
        latency_us=latency_us,
        bandwidth_gbps=bandwidth_gbps,
        quick=quick,
    )
    if as_json:
        typer.echo(json.dumps(made.as_dict(), indent=2))
    else:
        print_plan(made)
