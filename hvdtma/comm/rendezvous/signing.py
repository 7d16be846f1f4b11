"""Requests signed with the job's secret (HMAC, RFC 2104): method, path and what is sent.

The signature stands in the headers, so a request is refused before its body is read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

SIGNATURE, DIGEST = "X-Hvdtma-Signature", "X-Hvdtma-Digest"


def new_secret() -> str:
    """A job's secret: 256 random bits in hexadecimal."""
    return secrets.token_hex(32)


def signed_headers(secret: str, method: str, path: str, body: bytes) -> dict[str, str]:
    """The headers that let a request in."""
    digest = hashlib.sha256(body).hexdigest()
    return {SIGNATURE: _signature(secret, method, path, digest), DIGEST: digest}


def is_signed(secret: str, method: str, path: str, signature: str, digest: str) -> bool:
    """Whether a request's headers were made by someone who knows the secret."""
    expected = _signature(secret, method, path, digest)
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def is_body(body: bytes, digest: str) -> bool:
    """Whether a body is the one that was signed."""
    return hmac.compare_digest(hashlib.sha256(body).hexdigest(), digest)


def _signature(secret: str, method: str, path: str, digest: str) -> str:
    message = "\n".join((method, path, digest)).encode(errors="replace")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
