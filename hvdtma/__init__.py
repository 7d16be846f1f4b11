"""Graph neural networks on massive graphs by timed model aggregation (arXiv 2305.09887)."""

from hvdtma.aggregate import TimedAveraging
from hvdtma.core.errors import UserError
from hvdtma.core.version import __version__
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.store import open_store
from hvdtma.partitioning import PartitionOptions, partition

__all__ = [
    "BuildOptions",
    "PartitionOptions",
    "TimedAveraging",
    "UserError",
    "__version__",
    "build",
    "open_store",
    "partition",
]
