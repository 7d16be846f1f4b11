"""Partition a store."""

from __future__ import annotations

from typing import Any

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.core.files import expanded
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.partitioning import PartitionOptions
from hvdtma.partitioning import partition as partition_store


@names_arguments
def partition(
    store: GraphStore | FilePath,
    path: FilePath,
    method: str = "random",
    *,
    seed: int = 0,
    block_nodes: int | None = None,
    trainers: int | None = None,
    overwrite: bool = False,
    memory_gb: float | None = None,
    **options: Any,
) -> GraphStore:
    """Write a store again in another order of nodes, and open it.

        hvdtma.partition("graph.zarr", "super.zarr", "super", super_nodes=500)

    Args:
        store: a store or its path.
        path: the store to make.
        method: `super` (SuperTMA), `random` (RandomTMA), `min-cut` (PSGD-PA), another registered
            name, or an import path `package.module:Name`.
        seed: of the method.
        block_nodes: nodes per block; None: as in `build`.
        trainers: a number of trainers for which the blocks must suffice; None: any number.
        overwrite: replace a store that is there.
        memory_gb: memory limit of this process in GiB; None: half of the free memory.
        options: keyword arguments of the method, such as `super_nodes`, `parts`, `clusterer`.

    Raises UserError for anything wrong with the arguments, and if `path` exists.
    """
    how = PartitionOptions(method, options, seed, block_nodes)
    if not isinstance(store, GraphStore):
        store = open_store(expanded(store))
    return partition_store(
        store, expanded(path), how, overwrite=overwrite, trainers=trainers, memory_gb=memory_gb
    )
