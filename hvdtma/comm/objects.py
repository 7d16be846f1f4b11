"""Python objects as tensors, for collectives that carry numbers only.

An object is written as JSON, followed by the bytes of its tensors and arrays. Decoding runs nobody
else's code: it makes plain values, tensors, arrays and paths, and instances of the data classes of
this project (dataclasses, named tuples, configs, enums). With a secret, each object also carries a
keyed hash (BLAKE2b, RFC 7693), and an object without the right hash is refused: neither Gloo nor
NCCL authenticates its connections.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from hvdtma.core.errors import TrainerError
from hvdtma.core.tensor_file import bytes_of

WORD_BYTES = 8
DIGEST_BYTES = 32
TAG = "$"  # the key of the objects that stand for other values than JSON's
TAGS = ("tuple", "set", "dict", "path", "tensor", "array", "enum", "object")
PACKAGES = ("hvdtma", "hypergraph", "slurm")  # of data classes
ARRAY_KINDS = "biufcMmSU"  # of NumPy's dtypes: plain values, no Python objects
TORCH_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    )
}


def encode_object(value: Any, secret: str | None = None) -> torch.Tensor:
    """An object as int64 words, padded with zeros; with a secret, signed.

    Words rather than bytes, because Horovod's collectives carry at most 2^31 elements. Raises
    TypeError for an object that cannot be encoded.
    """
    writer = _Writer()
    text = json.dumps(writer.plain(value)).encode()
    content = bytearray(0 if secret is None else DIGEST_BYTES)
    pieces: list[Any] = [len(text).to_bytes(WORD_BYTES, "little"), text, *writer.pieces]
    for piece in pieces:
        content += piece
        content += bytes(-len(content) % WORD_BYTES)
    if secret is not None:
        content[:DIGEST_BYTES] = _digest(memoryview(content)[DIGEST_BYTES:], secret)
    return torch.frombuffer(content, dtype=torch.int64)


def decode_object(words: torch.Tensor, secret: str | None = None) -> Any:
    """The object of `encode_object`.

    Raises TrainerError if it was not signed with the secret, or is no encoded object.
    """
    content = words.contiguous().numpy().data.cast("B")
    if secret is not None:
        digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if not hmac.compare_digest(digest, _digest(content, secret)):
            raise TrainerError(
                "received an object that is not signed with the job's secret, and refused it: "
                "another process is connected in the place of a trainer"
            )
    try:
        end = WORD_BYTES + int.from_bytes(content[:WORD_BYTES], "little")
        plain = json.loads(bytes(content[WORD_BYTES:end]))
        return _Reader(content[end + -end % WORD_BYTES :]).value(plain)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TrainerError(f"received bytes that are no object of hvdtma: {error}") from error


class _Writer:
    """Turns a value into JSON's, and collects the bytes of its tensors and arrays."""

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []
        self.num_bytes = 0

    def plain(self, value: Any) -> Any:
        """The value in JSON's types."""
        if isinstance(value, Enum):  # some are strings, too
            return {TAG: "enum", "class": _name_of(type(value)), "name": value.name}
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.generic):
            return self.plain(value.item())
        if isinstance(value, int | float):
            return value
        if type(value) is list:
            return [self.plain(inner) for inner in value]
        if type(value) in (tuple, torch.Size):
            return {TAG: "tuple", "values": [self.plain(inner) for inner in value]}
        if isinstance(value, set | frozenset):
            return {TAG: "set", "values": [self.plain(inner) for inner in value]}
        if isinstance(value, dict):
            if all(isinstance(key, str) for key in value) and TAG not in value:
                return {key: self.plain(inner) for key, inner in value.items()}
            pairs = [[self.plain(key), self.plain(inner)] for key, inner in value.items()]
            return {TAG: "dict", "pairs": pairs}
        if isinstance(value, torch.Tensor):
            dtype = str(value.dtype).removeprefix("torch.")
            return self._bytes("tensor", bytes_of(value), dtype, list(value.shape))
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in ARRAY_KINDS:
                raise TypeError(f"an array of dtype {value.dtype} cannot be sent to other trainers")
            flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            return self._bytes("array", flat.data, value.dtype.str, list(value.shape))
        if isinstance(value, Path):
            return {TAG: "path", "path": str(value)}
        return {TAG: "object", "class": _name_of(type(value)), **self._fields(value)}

    def _bytes(self, tag: str, flat: memoryview, dtype: str, shape: list[int]) -> dict[str, Any]:
        start = self.num_bytes
        self.pieces.append(flat)
        self.num_bytes += len(flat) + -len(flat) % WORD_BYTES
        return {TAG: tag, "dtype": dtype, "shape": shape, "start": start, "bytes": len(flat)}

    def _fields(self, value: Any) -> dict[str, Any]:
        given = None  # of a config: the keys that were not left out
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            inner = value._asdict()
        elif is_dataclass(value):
            inner = {field.name: getattr(value, field.name) for field in fields(value)}
        elif isinstance(value, BaseModel):
            inner = {name: getattr(value, name) for name in type(value).model_fields}
            given = sorted(value.model_fields_set)
        else:
            raise TypeError(f"a {type(value).__name__} cannot be sent to other trainers")
        return {"fields": {name: self.plain(each) for name, each in inner.items()}, "given": given}


class _Reader:
    """Makes values of JSON's, and of the bytes of tensors and arrays."""

    def __init__(self, content: memoryview):
        self.content = content

    def value(self, plain: Any) -> Any:
        """The value that `_Writer.plain` was given."""
        if isinstance(plain, list):
            return [self.value(inner) for inner in plain]
        if not isinstance(plain, dict):
            return plain
        if TAG not in plain:
            return {key: self.value(inner) for key, inner in plain.items()}
        if plain[TAG] not in TAGS:
            raise ValueError(f"the tag {plain[TAG]}")
        return getattr(self, f"_{plain[TAG]}")(plain)

    def _tuple(self, plain: dict) -> tuple:
        return tuple(map(self.value, plain["values"]))

    def _set(self, plain: dict) -> set:
        return set(map(self.value, plain["values"]))

    def _dict(self, plain: dict) -> dict:
        return {self.value(key): self.value(inner) for key, inner in plain["pairs"]}

    def _path(self, plain: dict) -> Path:
        return Path(plain["path"])

    def _raw(self, plain: dict) -> bytearray:
        start, num_bytes = plain["start"], plain["bytes"]
        if not 0 <= start <= start + num_bytes <= len(self.content):
            raise ValueError("a tensor is cut short")
        return bytearray(self.content[start : start + num_bytes])

    def _tensor(self, plain: dict) -> torch.Tensor:
        dtype, raw = TORCH_DTYPES[plain["dtype"]], self._raw(plain)
        if not raw:
            return torch.empty(plain["shape"], dtype=dtype)
        return torch.frombuffer(raw, dtype=dtype).reshape(plain["shape"])

    def _array(self, plain: dict) -> np.ndarray:
        dtype = np.dtype(plain["dtype"])
        if dtype.kind not in ARRAY_KINDS:
            raise ValueError(f"an array of dtype {dtype}")
        return np.frombuffer(self._raw(plain), dtype).reshape(plain["shape"])

    def _enum(self, plain: dict) -> Enum:
        return _class_of(plain["class"], Enum)[plain["name"]]

    def _object(self, plain: dict) -> Any:
        kind = _class_of(plain["class"], object)
        values = {name: self.value(inner) for name, inner in plain["fields"].items()}
        if issubclass(kind, BaseModel):
            return kind.model_construct(set(plain["given"]), **values)
        if issubclass(kind, tuple) and hasattr(kind, "_asdict"):
            return kind(**values)
        if is_dataclass(kind):
            made: Any = object.__new__(kind)  # type: ignore[arg-type]
            for name in (field.name for field in fields(kind)):
                object.__setattr__(made, name, values[name])
            return made
        raise ValueError(f"{plain['class']} is no data class")


def _name_of(kind: type) -> str:
    if kind.__module__.partition(".")[0] not in PACKAGES:
        raise TypeError(f"a {kind.__name__} of {kind.__module__} cannot be sent to other trainers")
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(name: str, base: type) -> Any:
    """A class of this project by name; modules that are not loaded yet are not imported."""
    module, _, qualname = name.partition(":")
    if module.partition(".")[0] not in PACKAGES:
        raise ValueError(f"{name} is no class of hvdtma")
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{name} is no class of hvdtma")
    return found


def _digest(content: memoryview, secret: str) -> bytes:
    return hashlib.blake2b(content, key=secret.encode(), digest_size=DIGEST_BYTES).digest()
