"""Commands on stores: build, info, verify, partition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.errors import UserError

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Store = Annotated[Path, typer.Argument(help="A store.", show_default=False)]
File = Annotated[Path | None, typer.Option(show_default=False)]


def build(
    out: Annotated[Path, typer.Argument(help="The store to make, e.g. graph.zarr.")],
    source: Annotated[
        str | None,
        typer.Argument(help="debian: | synthetic:nodes=..,edges=.. | ogb:NAME; or files, below."),
    ] = None,
    edges: Annotated[
        Path | None, typer.Option(help="Edges: CSV, TSV (.gz too), Parquet, NPY, NPZ.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Features: NPY, NPZ, Parquet, JSON lists of feature ids.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels: CSV.")] = None,
    splits: Annotated[
        Path | None, typer.Option(help="Given splits: NPZ with train, valid, test pairs.")
    ] = None,
    undirected: Annotated[
        bool, typer.Option("--undirected", help="An edge goes both ways.")
    ] = False,
    src_column: Annotated[str | None, typer.Option(help="Column of edge sources.")] = None,
    dst_column: Annotated[str | None, typer.Option(help="Column of edge destinations.")] = None,
    type_column: Annotated[str | None, typer.Option(help="Column of edge types.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Id column of features and labels.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Label column.")] = None,
    header: Annotated[str, typer.Option(help="auto | yes | no")] = "auto",
    delimiter: Annotated[str | None, typer.Option(help="Default: found out.")] = None,
    id_type: Annotated[str, typer.Option(help="auto | int | str")] = "auto",
    order: Annotated[str, typer.Option(help="random | given")] = "random",
    hold_out: Annotated[str, typer.Option(help="links | nodes")] = "links",
    valid: Annotated[float, typer.Option(help="Share held out; from 1 on a count.")] = 0.05,
    test: Annotated[float, typer.Option(help="Share held out; from 1 on a count.")] = 0.05,
    negatives: Annotated[int, typer.Option(help="Negatives per held-out link.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of split, order, negatives, reduction.")] = 0,
    feature_dim: Annotated[
        int | None, typer.Option(help="Reduce features to so many (sparse ones: 128).")
    ] = None,
    feature_dtype: Annotated[str, typer.Option(help="float32 | float16")] = "float32",
    first_hop: Annotated[bool, typer.Option(help="Store neighbours' feature means.")] = True,
    block_nodes: Annotated[int | None, typer.Option(help="Nodes per block.")] = None,
    memory_gb: Annotated[
        float | None, typer.Option(help="GiB to stay under; default half of what is free.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Build a store from files or a named source.

    Self-loops are dropped and repeated edges kept once. Links are held out as unordered pairs,
    before an undirected graph is mirrored. What does not fit in memory is sorted on disk, beside
    the store; the store does not depend on --memory-gb.
    """
    from hvdtma.core.memory import MemoryBudget
    from hvdtma.graph.builder import BuildOptions
    from hvdtma.graph.builder import build as build_store
    from hvdtma.graph.describe import print_description
    from hvdtma.graph.ingest import FileSource
    from hvdtma.graph.source import Source
    from hvdtma.graph.sources import load_source
    from hvdtma.storage.writer import refuse_existing

    options = BuildOptions(
        order=order,
        hold_out=hold_out,
        valid=valid,
        test=test,
        negatives=negatives,
        seed=seed,
        feature_dim=feature_dim,
        feature_dtype=feature_dtype,
        first_hop=first_hop,
        block_nodes=block_nodes,
    )
    refuse_existing(out, overwrite)
    memory = MemoryBudget.limit(memory_gb)
    given = FileSource(
        edges=edges,
        features=features,
        labels=labels,
        splits=splits,
        undirected=undirected,
        src_column=src_column,
        dst_column=dst_column,
        type_column=type_column,
        id_column=id_column,
        label_column=label_column,
        header=header,
        delimiter=delimiter,
        id_type=id_type,
    )
    if source and given != FileSource():
        raise UserError(
            f"'{source}' comes with its own edges and features; leave out the files and what is "
            "said about files (columns, header, delimiter, id type, undirected)"
        )
    if source:
        graph: Source = load_source(source, seed=seed)
    elif edges or splits:
        graph = given.open(memory, out.absolute().parent, options)
    else:
        raise UserError("nothing to build from; give a source (such as debian:) or --edges FILE")
    made = build_store(out, graph, options, overwrite=overwrite, memory_gb=memory.num_bytes / 2**30)
    print_description(made)


def info(store: Store) -> None:
    """Print counts, degrees, blocks, sizes on disk and splits of a store."""
    from hvdtma.graph.describe import print_description
    from hvdtma.graph.store import open_store

    print_description(open_store(store))


def verify(
    store: Store,
    memory_gb: Annotated[
        float | None, typer.Option(help="GiB to stay under; default half of what is free.")
    ] = None,
) -> None:
    """Check a store's checksums and invariants; exit status 2 if any fails."""
    from hvdtma.graph.store import open_store
    from hvdtma.graph.verify import print_verification

    print_verification(open_store(store), memory_gb)


def partition(
    store: Store,
    out: Annotated[Path, typer.Argument(help="The store to make.")],
    method: Annotated[
        str, typer.Option(help="random | super | min-cut | package.module:Name")
    ] = "random",
    super_nodes: Annotated[
        int | None,
        typer.Option(help="Clusters (super); default one per 200 nodes, 256 to 15,000."),
    ] = None,
    parts: Annotated[int | None, typer.Option(help="Parts (min-cut); default 3.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="key=value: another option of the method. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of clusters and the shuffle.")] = 0,
    block_nodes: Annotated[int | None, typer.Option(help="Nodes per block.")] = None,
    clusterer: Annotated[
        str | None,
        typer.Option(help="auto (METIS where it fits in memory) | metis | streaming"),
    ] = None,
    trainers: Annotated[
        int | None,
        typer.Option(help="Trainers of the described assignment (default: parts, or 3)."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the assignment: an HTML file.")
    ] = None,
    memory_gb: Annotated[
        float | None, typer.Option(help="GiB to stay under; default half of what is free.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a store again in another order of nodes, and describe what an assignment of it gives.

    What does not fit in memory is sorted on disk, beside the new store.
    """
    from hvdtma.core.config import parse_options
    from hvdtma.graph.store import open_store
    from hvdtma.partitioning import PartitionOptions
    from hvdtma.partitioning import partition as partition_store
    from hvdtma.partitioning.describe import print_assignment
    from hvdtma.partitioning.plot import write_partition_plot
    from hvdtma.partitioning.statistics import assignment_statistics

    named = {"super_nodes": super_nodes, "parts": parts, "clusterer": clusterer}
    given = {name: value for name, value in named.items() if value is not None}
    options = PartitionOptions(method, given | parse_options(option or []), seed, block_nodes)
    assigned_to = trainers or parts or 3
    if plot:
        plot.absolute().parent.mkdir(parents=True, exist_ok=True)
    made = partition_store(
        open_store(store),
        out,
        options,
        overwrite=overwrite,
        trainers=assigned_to,
        memory_gb=memory_gb,
    )
    statistics = assignment_statistics(made, assigned_to, seed=seed, memory_gb=memory_gb)
    print_assignment(made, statistics)
    if plot:
        write_partition_plot(statistics, plot, title=f"{out.name}: {method} order")
        typer.echo(f"plot: {plot}")
