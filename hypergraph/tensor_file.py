"""Tensors and facts about them in one file of which every byte is checked: safetensors.

The header's `facts` are JSON; `digest` is of them and of all tensors.
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


class NotWhole(Exception):
    """Bytes that are not what `packed` made."""


def packed(tensors: Tensors, facts: Mapping[str, Any]) -> bytes:
    """What to write; facts are plain values."""
    text = json.dumps(facts)
    return save(tensors, metadata={"facts": text, "digest": _digest(tensors, text)})


def unpacked(content: bytes) -> tuple[Tensors, dict[str, Any]]:
    """What `packed` was given; raises NotWhole for anything else."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])["__metadata__"]
        tensors, facts = load(content), json.loads(header["facts"])
        whole = _digest(tensors, header["facts"]) == header["digest"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise NotWhole from error
    if not whole:
        raise NotWhole
    return tensors, facts


def _digest(tensors: Tensors, facts: str) -> str:
    """Of all that is kept."""
    digest = xxhash.xxh3_128(facts.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.reshape(-1).numpy().data)
    return digest.hexdigest()
