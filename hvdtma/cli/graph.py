"""Commands on stores: build, info, verify, partition, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Store = Annotated[Path, typer.Argument(help="A store.", show_default=False)]
Out = Annotated[Path, typer.Argument(help="The store to write.", show_default=False)]
MemoryGb = Annotated[
    float | None, typer.Option(help="Memory limit in GiB. Default: half of the free memory.")
]
BlockNodes = Annotated[
    int | None, typer.Option(help="Nodes per block. Default: about 8 MiB of features.")
]


def build(
    out: Out,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A data source and its settings: synthetic:nodes=...,edges=... | debian: | "
            "ogb:NAME | package.module:function:SETTINGS. Not needed with --edges or --splits.",
            show_default=False,
        ),
    ] = None,
    edges: Annotated[
        list[str] | None,
        typer.Option(
            help="Edges: CSV or TSV (also .gz), Parquet, JSON lines, NPY, NPZ; a folder of parts, "
            "a glob, or 'sql:SELECT ...'. Can be repeated. Of a typed graph "
            "TYPE:RELATION:TYPE=FILE, such as user:buys:item=buys.csv."
        ),
    ] = None,
    nodes: Annotated[
        list[str] | None,
        typer.Option(
            help="Typed graphs: a table of a node type, TYPE=FILE: ids, and features in the other "
            "columns. Can be repeated. A type without a table has the ids of its edges."
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Typed graphs: edge type whose links are held out. Can be repeated. Default: all."
        ),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Features: tables as for --edges, NPY, NPZ, or JSON lists of feature ids. Can be "
            "repeated."
        ),
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="Labels: tables as for --edges. Can be repeated.")
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            help="Splits: NPZ with the pairs train, valid and test, or tables with a column split. "
            "Can be repeated."
        ),
    ] = None,
    undirected: Annotated[
        bool,
        typer.Option(
            "--undirected",
            help="Each edge stands for both directions; in typed graphs each edge type gets a "
            "reverse type.",
        ),
    ] = False,
    src_column: Annotated[
        str | None, typer.Option(help="Column of the edges' sources. Default: src, or the first.")
    ] = None,
    dst_column: Annotated[
        str | None,
        typer.Option(help="Column of the edges' destinations. Default: dst, or the second."),
    ] = None,
    type_column: Annotated[
        str | None, typer.Option(help="Column of the edges' types. Default: no types.")
    ] = None,
    weight_column: Annotated[
        str | None, typer.Option(help="Column of the edges' weights. Default: no weights.")
    ] = None,
    time_column: Annotated[
        str | None,
        typer.Option(
            help="Column of times, of edges or of nodes in the labels. Default: no times."
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Column of the ids in features and labels. Default: id, or the first."),
    ] = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the labels. Default: label, or the only one. Repeated: several labels "
            "(0, 1) or several targets."
        ),
    ] = None,
    label_kind: Annotated[
        str,
        typer.Option(
            help="Kind of the labels: auto (fractions are targets, real) | class | multi | real."
        ),
    ] = "auto",
    missing_labels: Annotated[
        bool,
        typer.Option(help="Words such as NA and negative numbers are no label."),
    ] = True,
    feature_columns: Annotated[
        list[str] | None,
        typer.Option(help="Column to take as a feature. Can be repeated. Default: all that fit."),
    ] = None,
    drop_columns: Annotated[
        list[str] | None,
        typer.Option(help="Column to leave out of the features. Can be repeated."),
    ] = None,
    fill_missing: Annotated[
        str, typer.Option(help="Missing features are: error | zero | mean (of the column).")
    ] = "error",
    header: Annotated[
        str, typer.Option(help="Whether text files have a header line: auto | yes | no.")
    ] = "auto",
    delimiter: Annotated[
        str | None,
        typer.Option(
            help="Delimiter of text files: 1 to 4 characters, tab or whitespace. Default: detected."
        ),
    ] = None,
    quote: Annotated[str, typer.Option(help="Quote character of text files, or none.")] = '"',
    comment: Annotated[
        str,
        typer.Option(help="Characters that begin a comment line, or none. Default: # and %."),
    ] = "auto",
    id_type: Annotated[
        str,
        typer.Option(help="Type of the ids: auto (int if every id is an integer) | int | str."),
    ] = "auto",
    bad_rows: Annotated[
        str, typer.Option(help="Rows that cannot be read are: error | skip (counted and shown).")
    ] = "error",
    bad_rows_file: Annotated[
        Path | None, typer.Option(help="CSV file to write the skipped rows to.")
    ] = None,
    order: Annotated[str, typer.Option(help="Order of the nodes: random | given.")] = "random",
    hold_out: Annotated[
        str, typer.Option(help="Held-out items of the split: links | nodes.")
    ] = "links",
    split: Annotated[
        str,
        typer.Option(help="Held-out items are: random | time (the latest ones; needs times)."),
    ] = "random",
    valid: Annotated[
        float, typer.Option(help="Validation items: a share below 1, or a number from 1.")
    ] = 0.05,
    test: Annotated[
        float, typer.Option(help="Test items: a share below 1, or a number from 1.")
    ] = 0.05,
    negatives: Annotated[int, typer.Option(help="Negatives per held-out link.")] = 1000,
    negative_destinations: Annotated[
        str,
        typer.Option(
            help="Nodes that negatives are drawn from: auto (the destinations of the edge type if "
            "they are no sources, such as the items that users buy) | all | seen (its destinations "
            "in any case)."
        ),
    ] = "auto",
    seed: Annotated[
        int, typer.Option(help="Random seed of split, order, negatives and reduced features.")
    ] = 0,
    feature_dim: Annotated[
        int | None,
        typer.Option(help="Reduce the features to this dimension. Default: sparse ones to 128."),
    ] = None,
    features_like: Annotated[
        Path | None,
        typer.Option(
            help="A store whose features these are to be, so that its models can be used: the axes "
            "of its SVD, or its graph's. Columns are matched by name, nodes by id."
        ),
    ] = None,
    feature_dtype: Annotated[
        str, typer.Option(help="Type of the stored features: float32 | float16.")
    ] = "float32",
    first_hop: Annotated[
        bool, typer.Option(help="Store the mean of every node's neighbours' features.")
    ] = True,
    block_nodes: BlockNodes = None,
    memory_gb: MemoryGb = None,
    overwrite: Overwrite = False,
) -> None:
    """Build a store from files or from a named source.

    Self-loops are dropped, and repeated edges are kept once, with the sum of their weights. Links
    are held out as unordered pairs. Data that does not fit in memory is sorted on disk, next to the
    store. The store does not depend on --memory-gb.
    """
    from hvdtma.api.stores import build as build_store
    from hvdtma.cli.typed import by_type, is_typed_edges
    from hvdtma.graph.describe import print_description

    typed = bool(nodes) or any(map(is_typed_edges, edges or ()))
    made = build_store(
        out,
        source,
        edges=by_type(edges) if typed else _one_or_all(edges),
        nodes=by_type(nodes) if nodes else None,
        target=target or None,
        features=_one_or_all(features),
        labels=by_type(labels) if typed and labels else _one_or_all(labels),
        splits=_one_or_all(splits),
        undirected=undirected,
        src_column=src_column,
        dst_column=dst_column,
        type_column=type_column,
        weight_column=weight_column,
        time_column=time_column,
        id_column=id_column,
        label_column=_one_or_all(label_column),
        label_kind=label_kind,
        missing_labels=missing_labels,
        feature_columns=feature_columns or None,
        drop_columns=tuple(drop_columns or ()),
        fill_missing=fill_missing,
        header=header,
        delimiter=delimiter,
        quote=quote,
        comment=comment,
        id_type=id_type,
        bad_rows=bad_rows,
        bad_rows_file=bad_rows_file,
        order=order,
        hold_out=hold_out,
        split=split,
        valid=valid,
        test=test,
        negatives=negatives,
        negative_destinations=negative_destinations,
        seed=seed,
        feature_dim=feature_dim,
        features_like=features_like,
        feature_dtype=feature_dtype,
        first_hop=first_hop,
        block_nodes=block_nodes,
        memory_gb=memory_gb,
        overwrite=overwrite,
    )
    print_description(made)


def _one_or_all(given: list[str] | None) -> str | list[str] | None:
    """The value of an option that can be repeated; None without any."""
    if not given:
        return None
    return given[0] if len(given) == 1 else given


def info(store: Store) -> None:
    """Print a store's counts, degrees, blocks, splits and size on disk."""
    from hvdtma.graph.describe import print_description
    from hvdtma.graph.store import open_store

    print_description(open_store(store))


def verify(store: Store, memory_gb: MemoryGb = None) -> None:
    """Check a store's checksums and invariants. The exit status is 2 if a check fails."""
    from hvdtma.graph.store import open_store
    from hvdtma.graph.verify import print_verification

    print_verification(open_store(store), memory_gb)


def partition(
    store: Store,
    out: Out,
    method: Annotated[
        str, typer.Option(help="Partition method: random | super | min-cut | package.module:Name.")
    ] = "random",
    super_nodes: Annotated[
        int | None,
        typer.Option(help="For super: number of super-nodes. Default: a 200th of the nodes."),
    ] = None,
    parts: Annotated[
        int | None, typer.Option(help="For min-cut: number of parts. Default: 3.")
    ] = None,
    clusterer: Annotated[
        str | None,
        typer.Option(
            help="For super and min-cut: metis | streaming (edges stay on disk) | auto (metis if "
            "it fits in memory). Default: auto."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="A further option of the method: key=value. Can be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the method.")] = 0,
    block_nodes: BlockNodes = None,
    trainers: Annotated[
        int | None,
        typer.Option(
            help="Number of trainers of the described assignment. Default: --parts, or 3."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="An HTML file to write, with charts of the assignment.")
    ] = None,
    memory_gb: MemoryGb = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a store again in another order of nodes, and describe an assignment of its blocks.

    Data that does not fit in memory is sorted on disk, next to the new store.
    """
    from hvdtma.core.config import parse_options
    from hvdtma.graph.store import open_store
    from hvdtma.partitioning import PartitionOptions
    from hvdtma.partitioning import partition as partition_store
    from hvdtma.partitioning.describe import print_assignment
    from hvdtma.partitioning.statistics import assignment_statistics

    named = {"super_nodes": super_nodes, "parts": parts, "clusterer": clusterer}
    given = {name: value for name, value in named.items() if value is not None}
    options = PartitionOptions(method, given | parse_options(option or []), seed, block_nodes)
    assigned_to = (parts or 3) if trainers is None else trainers
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
        from hvdtma.partitioning.plot import write_partition_plot

        write_partition_plot(statistics, plot, title=f"{out.name}: {method} order")
        typer.echo(f"plot: {plot}")


def export(
    store: Store,
    out: Annotated[Path, typer.Argument(help="The file or folder to write.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            help="pyg: a file for torch.load | dgl: a file for dgl.load_graphs | parquet: a folder "
            "with edges.parquet and nodes.parquet.",
            show_default=False,
        ),
    ],
    overwrite: Overwrite = False,
) -> None:
    """Write a store as a PyG Data, a DGLGraph or Parquet tables, with your own ids.

    pyg and dgl hold the whole graph in memory, and can be built again without loss (from_pyg,
    from_dgl).
    """
    from hvdtma.api.stores import open_store
    from hvdtma.graph.export import export as export_store

    typer.echo(str(export_store(open_store(store), out, to, overwrite=overwrite)))
