"""`hvdtma build`: a store from any source, within a memory limit."""

from hvdtma.graph.build.from_source import build, provenance
from hvdtma.graph.build.options import BuildOptions

__all__ = ["BuildOptions", "build", "provenance"]
