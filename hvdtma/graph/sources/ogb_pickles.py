"""Read OGB's pickles safely.

OGB stores arrays in pickles of a protocol that `torch.load(weights_only=True)`, the default since
PyTorch 2.6, cannot read, and downloads them unsigned. So they are read with a restricted unpickler
that creates arrays, tensors and plain containers only.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

_ARRAY_MODULES = ("numpy.core", "numpy._core")
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"{m}.multiarray", name) for m in _ARRAY_MODULES for name in ("_reconstruct", "scalar")),
    *((f"{m}.numeric", "_frombuffer") for m in _ARRAY_MODULES),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
}


class ArraysOnly(pickle.Unpickler):
    """Raises RuntimeError for anything but arrays, tensors and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """The object of an allowed name."""
        if (module, name) in _ALLOWED or (module == "torch" and name.endswith("Storage")):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise RuntimeError(f"the file holds {module}.{name}, which is no array; it is not OGB's")


@contextmanager
def arrays_only() -> Iterator[None]:
    """Make `torch.load` read pickles of arrays and tensors, and raise RuntimeError for others."""
    reader = SimpleNamespace(
        __name__=__name__,
        Unpickler=ArraysOnly,
        load=lambda file, **kw: ArraysOnly(file, **kw).load(),
    )
    with patch.object(torch, "load", partial(torch.load, weights_only=False, pickle_module=reader)):
        yield
