"""Python objects as tensors, for collectives that carry numbers only.

An object is pickled. Unpickling runs code, so with a secret each object carries a keyed hash
(BLAKE2b, RFC 7693), and an object without the right hash is never unpickled. This matters because
neither Gloo nor NCCL authenticates its connections.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from io import BytesIO
from typing import Any

import torch

from hvdtma.core.errors import TrainerError

WORD_BYTES = 8
DIGEST_BYTES = 32


def encode_object(value: Any, secret: str | None = None) -> torch.Tensor:
    """A pickled object as int64 words, padded with zeros; with a secret, signed.

    Words rather than bytes, because Horovod's collectives carry at most 2^31 elements.
    """
    buffer = BytesIO()
    buffer.write(bytes(0 if secret is None else DIGEST_BYTES))
    pickle.dump(value, buffer)
    buffer.write(bytes(-buffer.tell() % WORD_BYTES))  # a pickle ends at its own stop mark
    content = buffer.getbuffer()
    if secret is not None:
        content[:DIGEST_BYTES] = _digest(content[DIGEST_BYTES:], secret)
    return torch.frombuffer(content, dtype=torch.int64)


def decode_object(words: torch.Tensor, secret: str | None = None) -> Any:
    """The object of `encode_object`.

    Raises TrainerError if it was not signed with the secret; then nothing is unpickled.
    """
    content = words.contiguous().numpy().data.cast("B")
    if secret is not None:
        digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if not hmac.compare_digest(digest, _digest(content, secret)):
            raise TrainerError(
                "received an object that is not signed with the job's secret, and refused it: "
                "another process is connected in the place of a trainer"
            )
    return pickle.loads(content)


def _digest(content: memoryview, secret: str) -> bytes:
    return hashlib.blake2b(content, key=secret.encode(), digest_size=DIGEST_BYTES).digest()
