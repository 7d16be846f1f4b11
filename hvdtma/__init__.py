"""Graph neural networks on massive graphs by timed model aggregation (arXiv 2305.09887)."""

from hvdtma.aggregate import TimedAveraging
from hvdtma.errors import UserError
from hvdtma.graph.build import BuildOptions, build
from hvdtma.graph.store import open_store
from hvdtma.partition import PartitionOptions, partition
from hvdtma.version import __version__

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
