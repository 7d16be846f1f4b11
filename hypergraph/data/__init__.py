"""Multimodal hypergraphs: their parts, sources, splits and files."""

from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.intra import GraphRecipe, Intra, chain
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation
from hypergraph.data.sources import from_debian, from_tate
from hypergraph.data.split import Split, given_split, split_relation
from hypergraph.data.summary_tables import describe
from hypergraph.data.tables import ModalityTables, RelationTables, from_tables

__all__ = [
    "GraphRecipe",
    "Intra",
    "Modality",
    "ModalityTables",
    "MultimodalHypergraph",
    "Relation",
    "RelationTables",
    "Split",
    "chain",
    "describe",
    "from_debian",
    "from_tables",
    "from_tate",
    "given_split",
    "split_relation",
]
