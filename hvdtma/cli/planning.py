"""The command `plan`: the cost of a build and a run."""

from __future__ import annotations

from typing import Annotated

import typer

from hvdtma.cli.runs import Config, Overrides
from hvdtma.core.errors import UserError


def plan(
    config: Config = None,
    overrides: Overrides = None,
    trainers: Annotated[
        int | None, typer.Option(help="Number of trainers. Default: the config's, or 1.", min=1)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="Nodes of a store that is not built yet.")
    ] = None,
    edges: Annotated[
        int | None,
        typer.Option(help="Edges of this store as given. An undirected edge counts once."),
    ] = None,
    features: Annotated[
        int | None, typer.Option(help="Dimension of this store's features.")
    ] = None,
    feature_dtype: Annotated[
        str, typer.Option(help="Type of the stored features: float32 | float16.")
    ] = "float32",
    undirected: Annotated[
        bool,
        typer.Option(
            "--undirected/--directed", help="Whether each edge stands for both directions."
        ),
    ] = False,
    classes: Annotated[
        int, typer.Option(help="Classes (or targets) of the labels; 0: no labels.")
    ] = 0,
    label_kind: Annotated[
        str,
        typer.Option(help="Labels: class | multi (several per node) | real (regression)."),
    ] = "class",
    edge_types: Annotated[int, typer.Option(help="Types of the edges; 0: no types.")] = 0,
    hold_out: Annotated[
        str, typer.Option(help="Held-out items of the split: links | nodes.")
    ] = "links",
    valid: Annotated[
        float, typer.Option(help="Validation items: a share below 1, or a number from 1.")
    ] = 0.05,
    test: Annotated[
        float, typer.Option(help="Test items: a share below 1, or a number from 1.")
    ] = 0.05,
    negatives: Annotated[int, typer.Option(help="Negatives per held-out link.")] = 1000,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            help="Memory limit of the build in GiB. A trainer's limit is the key memory_gb."
        ),
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
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Do not measure this machine; no times are estimated then."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Estimate the memory, disk space, time and traffic of building, training and scoring."""
    import json

    from hvdtma.core.config import config_and_words
    from hvdtma.core.train_config import load_train_config
    from hvdtma.graph.builder import BuildOptions
    from hvdtma.plan import PlannedGraph
    from hvdtma.plan import plan as plan_run
    from hvdtma.plan.describe import print_plan

    loaded = load_train_config(*config_and_words(config, overrides))
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
            label_kind=label_kind,
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
