"""Who goes where: a partition is an order of node ids, and blocks are ranges of it."""

from hvdtma.partitioning.partition import PartitionOptions, partition

__all__ = ["PartitionOptions", "partition"]
