"""DGL, imported without what does not load: no other module imports DGL itself."""

from __future__ import annotations

import os
import sys
import types
import warnings

os.environ.setdefault("DGLBACKEND", "pytorch")  # else DGL writes a file into the home folder
if sys.version_info >= (3, 12):
    # DGL 2.1 is the only version for Python 3.12. Its graphbolt is built for PyTorch 2.2 and cannot
    # be loaded by later versions. hvdtma does not need it.
    sys.modules.setdefault("dgl.graphbolt", types.ModuleType("dgl.graphbolt"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # DGL 1.1 warns about its own imports
    import dgl

__all__ = ["dgl"]
