"""Building graphs of growing size within a memory limit: rate, peak memory, disk.

    python benchmarks/scale.py --edges 1e6 --edges 1e7 --edges 1e8 --memory-gb 8

Synthetic graphs with 10.7 edges a node, as in the citation graph of 121 million papers and 1.3
billion links, 32 features in half precision, 10,000 links held out for validation and as many for
test. Every build is a process of its own, whose peak memory the kernel tells. What was built is
removed. Beside it, the rate at which this disk takes plain sequential writes, in the same run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

EDGES_PER_NODE = 10.7
SHAPE = "features=32,communities=1000,directed=true"
WRITTEN_BYTES = 1 << 30


def main(
    edges: Annotated[list[float], typer.Option(help="Sizes to build.")],
    memory_gb: Annotated[float, typer.Option()] = 8,
    first_hop: Annotated[bool, typer.Option()] = True,
    work: Annotated[Path, typer.Option(help="Where stores go.")] = Path("runs/scale"),
) -> None:
    """Build each size and print a table."""
    work.mkdir(parents=True, exist_ok=True)
    print(
        f"{os.cpu_count()} cores, limit {memory_gb:g} GiB, "
        f"plain writing {write_rate(work) / 1e9:.2f} GB/s\n"
    )
    print("| edges | nodes | seconds | edges/s | peak GiB | store GB | bytes/edge |")
    print("|---|---|---|---|---|---|---|")
    for wanted in edges:
        num_edges, num_nodes = int(wanted), int(wanted / EDGES_PER_NODE)
        store = work / f"{num_edges}.zarr"
        source = f"synthetic:nodes={num_nodes},edges={num_edges},{SHAPE}"
        options = ["--valid", 10_000, "--test", 10_000, "--negatives", 100]
        options += ["--feature-dtype", "float16", "--memory-gb", memory_gb, "--overwrite"]
        options += ["--first-hop" if first_hop else "--no-first-hop"]
        seconds, peak = measured(sys.executable, "-m", "hvdtma", "build", store, source, *options)
        disk = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        shutil.rmtree(store)
        print(
            f"| {num_edges:,} | {num_nodes:,} | {seconds:.1f} | {num_edges / seconds:,.0f} "
            f"| {peak / 2**30:.2f} | {disk / 1e9:.2f} | {disk / num_edges:.1f} |",
            flush=True,
        )


def measured(*command: object) -> tuple[float, int]:
    """Seconds and peak resident bytes of a command; its failure is this script's."""
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} failed")
    return time.monotonic() - start, usage.ru_maxrss * 1024


def write_rate(folder: Path) -> float:
    """Bytes/s of plain sequential writing, down to the disk."""
    file, piece = folder / "plain", os.urandom(1 << 24)
    start = time.monotonic()
    with file.open("wb") as out:
        for _ in range(WRITTEN_BYTES // len(piece)):
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    seconds = time.monotonic() - start
    file.unlink()
    return WRITTEN_BYTES / seconds


if __name__ == "__main__":
    typer.run(main)
