"""Building from tables of edges with string ids, beside DuckDB's own count of their rows.

    python benchmarks/ingest.py --edges 1e7 --edges 1e8 --memory-gb 4

Edges with 10.7 per node and ids such as `user-00012345` are written as Parquet and as CSV, with
four features per node in Parquet. For each format, DuckDB counts the rows of the edges (every field
is parsed, nothing is kept) and `hvdtma build` makes a store of them, each in a process of its own
whose peak memory the kernel reports. The files are removed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from machine import measured, print_row

EDGES_PER_NODE = 10.7
ID = "'user-' || lpad(CAST(hash({0}) % {1} AS VARCHAR), 8, '0')"
COUNT = "import duckdb; print(duckdb.sql({!r}).fetchall())"
HEADING = "edges format count_s build_s ratio edges/s peak_GiB"


def main(
    edges: Annotated[list[float], typer.Option(help="Number of edges of a graph.")],
    memory_gb: Annotated[float, typer.Option(help="Memory limit of a build in GiB.")] = 4,
    work: Annotated[Path, typer.Option(help="Folder of files and stores.")] = Path("runs/ingest"),
) -> None:
    """Build every size from both formats, and print a table."""
    work.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} cores, limit {memory_gb:g} GiB\n")
    print_row(HEADING.split(), heading=True)
    for wanted in map(int, edges):
        write(work, wanted)
        for name in ("edges.parquet", "edges.csv"):
            print_row(compare(work, name, wanted, memory_gb))
    shutil.rmtree(work)


def write(work: Path, num_edges: int) -> None:
    """Write the edges in both formats, and the features."""
    nodes = int(num_edges / EDGES_PER_NODE)
    src, dst = (ID.format(f"2 * i + {end}", nodes) for end in (0, 1))
    rows = f"SELECT {src} AS src, {dst} AS dst FROM range({num_edges}) AS t(i)"
    for name in ("edges.parquet", "edges.csv"):
        duckdb.sql(f"COPY ({rows}) TO '{work / name}'")
    values = ", ".join(f"(hash(i + {n}) % 1000) / 1000 AS x{n}" for n in range(4))
    ids = "'user-' || lpad(CAST(i AS VARCHAR), 8, '0')"
    rows = f"SELECT {ids} AS id, {values} FROM range({nodes}) AS t(i)"
    duckdb.sql(f"COPY ({rows}) TO '{work / 'features.parquet'}'")


def compare(work: Path, name: str, num_edges: int, memory_gb: float) -> list[str]:
    """Count and build from one file; return a row of the table."""
    path, store, log = work / name, work / "graph.zarr", work / "build.log"
    count = COUNT.format(f"SELECT count(src), count(dst) FROM '{path}'")
    count_s, _ = measured(sys.executable, "-c", count, log=log)
    options = ["--valid", 10_000, "--test", 10_000, "--negatives", 100, "--memory-gb", memory_gb]
    inputs = ["--edges", path, "--features", work / "features.parquet"]
    command = [sys.executable, "-m", "hvdtma", "build", store, *inputs, *options, "--overwrite"]
    build_s, peak = measured(*command, log=log)
    return [
        f"{num_edges:,}",
        path.suffix[1:],
        f"{count_s:.1f}",
        f"{build_s:.1f}",
        f"{build_s / count_s:.1f}",
        f"{num_edges / build_s:,.0f}",
        f"{peak / 2**30:.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
