"""A graph from the user's own files: edges, features, labels, splits."""

from hvdtma.graph.ingest.file_source import FileSource

__all__ = ["FileSource"]
