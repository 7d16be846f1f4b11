"""HyperLearn: one representation from many modalities, one modality per GPU (ACM MM 2019).

Names are imported when they are first used: `import hypergraph` loads neither PyTorch nor others.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hvdtma.core.errors import UserError
    from hypergraph.config import (
        FactorModelConfig,
        HyperLearnConfig,
        JoinConfig,
        LossConfig,
        ValidationConfig,
    )
    from hypergraph.data import (
        GraphRecipe,
        Intra,
        Modality,
        MultimodalHypergraph,
        Relation,
        Split,
        from_debian,
        from_tables,
        from_tate,
        given_split,
        split_relation,
    )
    from hypergraph.learn import HyperLearn

__all__ = [
    "FactorModelConfig",
    "GraphRecipe",
    "HyperLearn",
    "HyperLearnConfig",
    "Intra",
    "JoinConfig",
    "LossConfig",
    "Modality",
    "MultimodalHypergraph",
    "Relation",
    "Split",
    "UserError",
    "ValidationConfig",
    "from_debian",
    "from_tables",
    "from_tate",
    "given_split",
    "split_relation",
]

_MODULES = {
    **dict.fromkeys(
        (
            "FactorModelConfig",
            "HyperLearnConfig",
            "JoinConfig",
            "LossConfig",
            "ValidationConfig",
        ),
        "hypergraph.config",
    ),
    "HyperLearn": "hypergraph.learn",
    "UserError": "hvdtma.core.errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hypergraph' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULES.get(name, "hypergraph.data")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
