"""Whole-block reads compared with plain sequential reads of the same files, from the disk.

    python benchmarks/reading.py STORE [--share 0.5]

A random share of the blocks is read as a trainer reads them (features, first hop, edges; decoded,
checked and filtered). Then the same chunk files are read plainly, one after the other. The page
cache is dropped before each. The two take turns; medians are printed.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from machine import drop_from_cache, read_plainly

from hvdtma.graph.store import GraphStore, open_store
from hvdtma.sampling.reader import BlockReader
from hvdtma.sampling.shard import load_shard

ARRAYS = ("feat", "first_hop", "indptr", "indices", "edge_type", "label")


def main(
    store: Path,
    share: Annotated[float, typer.Option(help="Share of the blocks to read.")] = 0.5,
    turns: Annotated[int, typer.Option()] = 5,
) -> None:
    """Time both ways of reading and print the table."""
    opened = open_store(store)
    rng = np.random.default_rng(0)
    size = max(int(share * opened.num_blocks), 1)
    blocks = np.sort(rng.permutation(opened.num_blocks)[:size])
    files = chunks_touched(opened, blocks)
    load_shard(opened, blocks[:2], first_hop="first_hop" in opened)  # compiles
    os.sync()
    rates: dict[str, list[float]] = {"plain reads": [], "whole blocks": [], "bytes wanted": []}
    for _ in range(turns):
        drop_from_cache(files)
        seconds, num_bytes = read_plainly(files)
        rates["plain reads"].append(num_bytes / seconds)
        drop_from_cache(files)
        reader = BlockReader(open_store(store))
        start = time.monotonic()
        shard = load_shard(reader, blocks, first_hop="first_hop" in opened)
        seconds = time.monotonic() - start
        rates["whole blocks"].append(num_bytes / seconds)
        rates["bytes wanted"].append(shard_bytes(opened, shard.num_nodes) / seconds)
    base = statistics.median(rates["plain reads"])
    print(
        f"{store.name}: {size} of {opened.num_blocks} blocks, {len(files)} files, "
        f"{num_bytes / 1e9:.2f} GB on disk\n"
    )
    print("| reads | GB/s | ratio |\n|---|---|---|")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"| {name} | {rate / 1e9:.2f} | {rate / base:.2f} |")


def chunks_touched(store: GraphStore, blocks: np.ndarray) -> list[Path]:
    """The files that hold the rows of these blocks."""
    indptr = store.read("indptr")
    starts, stops = store.block_offsets[blocks], store.block_offsets[blocks + 1]
    files = []
    for name in ARRAYS:
        if name not in store:
            continue
        array = store.array(name)
        of_edges = name in ("indices", "edge_type")
        first, last = (indptr[starts], indptr[stops]) if of_edges else (starts, stops)
        rows, rest = array.chunks[0], ["0"] * (array.ndim - 1)
        numbers = {
            n for a, b in zip(first, last, strict=True) for n in range(a // rows, -(-b // rows))
        }
        files += [store.path.joinpath(name, "c", str(n), *rest) for n in sorted(numbers)]
    return files


def shard_bytes(store: GraphStore, num_nodes: int) -> float:
    """Bytes on disk of the blocks' share of the arrays."""
    total = sum(
        path.stat().st_size
        for name in ARRAYS
        if name in store
        for path in (store.path / name).rglob("*")
        if path.is_file()
    )
    return total * num_nodes / store.num_nodes


if __name__ == "__main__":
    typer.run(main)
