"""Graph neural networks on massive graphs by timed model aggregation (arXiv 2305.09887).

The whole job from Python:

    import hvdtma

    hvdtma.build("graph.zarr", "synthetic:nodes=20000,edges=200000,features=64,communities=50")
    hvdtma.partition("graph.zarr", "super.zarr", "super")
    run = hvdtma.train(store="super.zarr", run="runs/a", interval_s=5, rounds=10, trainers=3)
    hvdtma.evaluate(run)
    hvdtma.embed(run, "embeddings.parquet")
    hvdtma.recommend(run, node=17, k=10)

Names are loaded when they are first used (PEP 562), so that `import hvdtma` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hvdtma.core.version import __version__

if TYPE_CHECKING:
    from hvdtma.aggregate import TimedAveraging
    from hvdtma.api.compare import compare
    from hvdtma.api.config import load_config
    from hvdtma.api.partition import partition
    from hvdtma.api.pretrained import from_pretrained
    from hvdtma.api.results import embed, evaluate
    from hvdtma.api.run import Run
    from hvdtma.api.stores import build, open_store
    from hvdtma.api.sweep import sweep
    from hvdtma.api.train import train
    from hvdtma.api.use import predict, recommend
    from hvdtma.core.errors import UserError
    from hvdtma.core.registry import register
    from hvdtma.graph.sources import from_dgl, from_edges, from_pyg, from_scipy
    from hvdtma.training.callback import Callback

__all__ = [
    "Callback",
    "Run",
    "TimedAveraging",
    "UserError",
    "__version__",
    "build",
    "compare",
    "embed",
    "evaluate",
    "from_dgl",
    "from_edges",
    "from_pretrained",
    "from_pyg",
    "from_scipy",
    "load_config",
    "open_store",
    "partition",
    "predict",
    "recommend",
    "register",
    "sweep",
    "train",
]

_HOMES = {
    "Callback": "hvdtma.training.callback",
    "Run": "hvdtma.api.run",
    "TimedAveraging": "hvdtma.aggregate",
    "UserError": "hvdtma.core.errors",
    "build": "hvdtma.api.stores",
    "compare": "hvdtma.api.compare",
    "embed": "hvdtma.api.results",
    "evaluate": "hvdtma.api.results",
    "from_dgl": "hvdtma.graph.sources",
    "from_edges": "hvdtma.graph.sources",
    "from_pretrained": "hvdtma.api.pretrained",
    "from_pyg": "hvdtma.graph.sources",
    "from_scipy": "hvdtma.graph.sources",
    "load_config": "hvdtma.api.config",
    "open_store": "hvdtma.api.stores",
    "partition": "hvdtma.api.partition",
    "predict": "hvdtma.api.use",
    "recommend": "hvdtma.api.use",
    "register": "hvdtma.core.registry",
    "sweep": "hvdtma.api.sweep",
    "train": "hvdtma.api.train",
}


if not TYPE_CHECKING:  # a type checker would take any name for an export

    def __getattr__(name: str) -> Any:
        """Load an exported name when it is first used."""
        if name not in _HOMES:
            raise AttributeError(f"module 'hvdtma' has no attribute '{name}'")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The exported names, and the names that are loaded already."""
    return sorted({*globals(), *__all__})
