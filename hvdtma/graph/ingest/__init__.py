"""A source from the user's files: edges, features, labels, splits."""

from hvdtma.graph.ingest.file_source import FileSource

__all__ = ["FileSource"]
