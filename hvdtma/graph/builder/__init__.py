"""`hvdtma build`: from a source to a store, within a memory limit."""

from hvdtma.graph.builder.build_store import build, provenance
from hvdtma.graph.builder.options import BuildOptions

__all__ = ["BuildOptions", "build", "provenance"]
