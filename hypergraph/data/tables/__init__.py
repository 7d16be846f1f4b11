"""Hypergraphs from tables: CSV, TSV and Parquet files of ids, numbers and features."""

from hypergraph.data.tables.read import from_tables
from hypergraph.data.tables.specs import ModalityTables, RelationTables

__all__ = ["ModalityTables", "RelationTables", "from_tables"]
