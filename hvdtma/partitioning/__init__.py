"""Partition methods, and the assignment of blocks to trainers.

A partition is an order of the nodes. Blocks are ranges of consecutive nodes in this order.
"""

from hvdtma.partitioning.partition import PartitionOptions, partition

__all__ = ["PartitionOptions", "partition"]
