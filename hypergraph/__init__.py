"""HyperLearn: one representation from many modalities, one modality per GPU (ACM MM 2019)."""

from hvdtma.core.errors import UserError
from hypergraph.config import EvaluateConfig, JoinConfig, LossConfig, ModelConfig, TrainConfig
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
    "EvaluateConfig",
    "HyperLearn",
    "Intra",
    "JoinConfig",
    "LossConfig",
    "Modality",
    "ModelConfig",
    "MultimodalHypergraph",
    "GraphRecipe",
    "Relation",
    "Split",
    "TrainConfig",
    "UserError",
    "from_debian",
    "from_tables",
    "from_tate",
    "given_split",
    "split_relation",
]
