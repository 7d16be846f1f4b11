"""Tensors and facts in one safetensors file, with a digest over every byte.

The metadata `facts` is JSON; `digest` is that of the facts and of all tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError
from safetensors.torch import load, save

Tensors = dict[str, torch.Tensor]


class DamagedFile(Exception):
    """The bytes are not the output of `to_bytes`."""


def to_bytes(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> bytes:
    """The content of a file; facts are plain values."""
    text = json.dumps(facts)
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(on_cpu, metadata={"facts": text, "digest": _digest(on_cpu, text)})


def from_bytes(content: bytes) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and facts of a file; raises DamagedFile if it has changed or is no such file."""
    try:
        header = _metadata(content)
        tensors, facts = load(content), json.loads(header["facts"])
        intact = _digest(tensors, header["facts"]) == header["digest"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile from error
    if not intact:
        raise DamagedFile
    return tensors, facts


def from_bytes_without_digest(content: bytes) -> tuple[Tensors, dict[str, str]] | None:
    """The tensors and metadata of a file of an earlier version; None for other files."""
    try:
        header = _metadata(content)
        return None if {"facts", "digest"} & set(header) else (load(content), header)
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The bytes of a tensor's values, of any dtype and shape; a copy only if they lie scattered."""
    whole = tensor.detach().cpu().contiguous()
    # PyTorch calls one value contiguous whatever its stride, but takes no view of bytes then.
    flat = whole.as_strided((whole.numel(),), (1,))
    return flat.view(torch.uint8).numpy().data


def _digest(tensors: Tensors, facts: str) -> str:
    """The digest of facts and tensors."""
    digest = xxhash.xxh3_128(facts.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(bytes_of(value))
    return digest.hexdigest()
