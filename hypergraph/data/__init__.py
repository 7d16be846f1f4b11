"""Multimodal hypergraphs: what they are, where they come from, how they are split and kept."""

from hypergraph.data.debian import from_debian
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.intra import GraphRecipe, Intra, chain
from hypergraph.data.modality import Modality
from hypergraph.data.neighbours import make_intra
from hypergraph.data.plot import write_plot
from hypergraph.data.relation import Relation
from hypergraph.data.split import Split, given_split, split_relation
from hypergraph.data.summary import degrees, describe
from hypergraph.data.table_specs import ModalityTables, RelationTables
from hypergraph.data.tables import from_tables
from hypergraph.data.tate import from_tate

__all__ = [
    "Intra",
    "Modality",
    "ModalityTables",
    "MultimodalHypergraph",
    "GraphRecipe",
    "Relation",
    "RelationTables",
    "Split",
    "chain",
    "degrees",
    "describe",
    "from_debian",
    "from_tables",
    "from_tate",
    "given_split",
    "make_intra",
    "split_relation",
    "write_plot",
]
