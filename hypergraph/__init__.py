"""HyperLearn: one representation from many modalities, one modality per GPU (ACM MM 2019)."""

from hvdtma.errors import UserError
from hypergraph.data import (
    Intra,
    Modality,
    MultimodalHypergraph,
    Recipe,
    Relation,
    Split,
    from_debian,
    from_tables,
    from_tate,
    given_split,
    split_relation,
)

__all__ = [
    "Intra",
    "Modality",
    "MultimodalHypergraph",
    "Recipe",
    "Relation",
    "Split",
    "UserError",
    "from_debian",
    "from_tables",
    "from_tate",
    "given_split",
    "split_relation",
]
