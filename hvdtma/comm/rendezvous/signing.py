"""Signatures of requests with the job's secret (HMAC, RFC 2104).

A signature covers the method, the path and a digest of the body. It stands in the headers, so an
unsigned request is refused before its body is read.
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
    """The headers of a signed request."""
    digest = hashlib.sha256(body).hexdigest()
    return {SIGNATURE: _signature(secret, method, path, digest), DIGEST: digest}


def is_valid_signature(secret: str, method: str, path: str, signature: str, digest: str) -> bool:
    """Whether a request's headers were signed with the secret."""
    expected = _signature(secret, method, path, digest)
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def has_digest(body: bytes, digest: str) -> bool:
    """Whether a body has the digest that was signed."""
    return hmac.compare_digest(hashlib.sha256(body).hexdigest(), digest)


def _signature(secret: str, method: str, path: str, digest: str) -> str:
    message = "\n".join((method, path, digest)).encode(errors="replace")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
