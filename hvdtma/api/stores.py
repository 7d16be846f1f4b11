"""Build a store, and open one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from hvdtma.api.arguments import FilePath, check_keywords, names_arguments
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder import BuildOptions
from hvdtma.graph.builder import build as build_store
from hvdtma.graph.builder.build_typed import check_typed_options
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.ingest.typed_tables import (
    TypedInputs,
    check_typed_reading,
    typed_graph_of_tables,
)
from hvdtma.graph.source import Source, check_source
from hvdtma.graph.sources import graph_from, load_source
from hvdtma.graph.store import GraphStore
from hvdtma.graph.store import open_store as open_graph_store
from hvdtma.storage.writer import refuse_existing


@names_arguments
def build(
    path: FilePath,
    source: str | Source | None = None,
    *,
    edges: Any = None,
    nodes: Mapping[str, Any] | None = None,
    features: Any = None,
    labels: Any = None,
    splits: Any = None,
    overwrite: bool = False,
    memory_gb: float | None = None,
    **options: Any,
) -> GraphStore:
    """Build a store from a source, or from files.

        hvdtma.build("graph.zarr", "synthetic:nodes=5000,edges=40000", negatives=100)
        hvdtma.build("mine.zarr", edges="edges.csv", features="x.parquet", undirected=True)
        hvdtma.build("cora.zarr", from_pyg(data), hold_out="nodes")
        hvdtma.build("shop.zarr", nodes={"user": users}, edges={("user", "buys", "item"): buys})

    Args:
        path: the store to make.
        source: `synthetic:...`, `debian:`, `ogb:NAME`, another registered data source or its import
            path `package.module:function:settings`; or a graph: `EdgeStream`, `RawGraph`, a
            DGLGraph, a PyG `Data`, a sparse adjacency matrix, a list of pairs. `from_dgl`,
            `from_pyg`, `from_scipy` and `from_edges` have arguments for these.
        edges, features, labels, splits: inputs of a graph, in place of `source`: a file, a
            folder, a glob, `sql:SELECT ...`, an Arrow table, a pandas or Polars frame, a DuckDB
            relation, or a list of these. Of a typed graph, edges are a dict by edge type, and
            labels a dict with one node type.
        nodes: of a typed graph, a table of each node type: ids and features.
        overwrite: replace a store that is there.
        memory_gb: memory limit of this process in GiB; None: half of the free memory. The store
            does not depend on it.
        options: the other arguments of `BuildOptions` (how to build) and of `FileSource` (how to
            read files), such as `valid`, `negatives`, `seed`, `undirected`, `id_column`.

    Raises UserError for anything wrong with the arguments, the files or the graph, and if `path`
    exists. Nothing is written then.
    """
    of_files = [field.name for field in fields(FileSource)]
    of_build = [field.name for field in fields(BuildOptions)]
    valid = ["source", "nodes", *of_files, *of_build, "overwrite", "memory_gb"]
    check_keywords("build", set(options), valid)
    how = BuildOptions(**{name: options.pop(name) for name in of_build if name in options})
    files = {"edges": edges, "features": features, "labels": labels, "splits": splits}
    path = expanded(path)
    refuse_existing(path, overwrite)
    memory = MemoryBudget.limit(memory_gb)
    if nodes is not None or isinstance(edges, Mapping):
        graph = _typed(path, source, {**files, "nodes": nodes}, options, how, memory)
        return build_store(path, graph, how, overwrite=overwrite, memory_gb=memory.memory_gb)
    given = FileSource(**files, **options)
    if source is not None and _describes_files(given):
        raise UserError(
            f"{_named(source)} comes with its own edges and features; leave out the files and what "
            "describes files (columns, header, delimiter, id type, undirected)"
        )
    if source is None and edges is None and splits is None:
        raise UserError(
            "nothing to build from; give a source (such as synthetic:nodes=1000) or --edges FILE"
        )
    if source is not None:
        graph = _as_source(source, how.seed)
        return build_store(path, graph, how, overwrite=overwrite, memory_gb=memory.memory_gb)
    with closing(given.open(memory, path.absolute().parent, how)) as tables:
        return build_store(path, tables, how, overwrite=overwrite, memory_gb=memory.memory_gb)


@names_arguments
def open_store(path: FilePath) -> GraphStore:
    """Open a store for reading; raises UserError if there is none."""
    return open_graph_store(expanded(path))


def _typed(
    path: Path,
    source: str | Source | None,
    files: dict[str, Any],
    options: dict[str, Any],
    how: BuildOptions,
    memory: MemoryBudget,
) -> Source:
    """A typed graph from tables by type; options that do not fit are refused before any is read."""
    for name, given in (("source", source), *((key, files[key]) for key in ("features", "splits"))):
        if given is not None:
            raise UserError(
                f"--{name} is not for typed graphs: features are columns of --nodes, and the build "
                "holds links out"
            )
    undirected = options.pop("undirected", False)
    inputs = TypedInputs.of(files["nodes"], files["edges"], files["labels"], undirected)
    reading = ReadOptions(**options)
    check_typed_reading(reading)
    check_typed_options(how, inputs.schema)
    return typed_graph_of_tables(inputs, reading, memory, path.absolute().parent)


def _describes_files(given: FileSource) -> bool:
    """Whether an input or an option for reading inputs was given."""
    values = [(getattr(given, field.name), field.default) for field in fields(given)]
    plain = (str, bool, tuple)  # frames cannot be compared with a default
    return any(
        value != default if isinstance(value, plain) else value is not default
        for value, default in values
    )


def _as_source(source: str | Source, seed: int) -> Source:
    if isinstance(source, str):
        return load_source(source, seed=seed)
    graph = graph_from(source)
    check_source(_named(source), graph)
    return graph


def _named(source: object) -> str:
    return f"'{source}'" if isinstance(source, str) else f"a {type(source).__name__}"
