"""A graph from the user's own files: edges, features, labels, splits."""

from hvdtma.graph.sources.files.source import FileSource

__all__ = ["FileSource"]
