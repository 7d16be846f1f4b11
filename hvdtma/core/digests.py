"""Digests inside files, by which a reader notices that a file has changed since it was written.

They find damage by disks and by hand. They are no protection against an attacker, who can make
them too. Runs of earlier versions have files without digests, which are read as they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xxhash

from hvdtma.core.errors import UserError
from hvdtma.core.files import finite

DIGEST = "digest"
FIRST_LINE = "# digest of the lines below: "


def digest_of(content: bytes | memoryview) -> str:
    """The digest of bytes: XXH3, 128 bits, in hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(content)


def digest_of_json(value: Any) -> str:
    """The digest of plain values; the order of an object's keys does not matter."""
    return digest_of(json.dumps(value, sort_keys=True).encode())


def damaged(path: Path, remedy: str = "") -> UserError:
    """The error for a file that has changed since it was written."""
    return UserError(f"{path} is damaged: it has changed since it was written{remedy}")


def with_digest(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with its own digest; numbers that are not finite become null."""
    value = finite(value)
    return value | {DIGEST: digest_of_json(value)}


def without_digest(
    value: Any, path: Path, remedy: str = "", *, needed: bool = True
) -> dict[str, Any]:
    """The object that `with_digest` was given; raises UserError for `path` if it is another one.

    Args:
        needed: whether an object without a digest is an error, too.
    """
    if not isinstance(value, dict):
        raise damaged(path, remedy)
    if DIGEST not in value and not needed:
        return value
    content = {key: inner for key, inner in value.items() if key != DIGEST}
    if value.get(DIGEST) != digest_of_json(content):
        raise damaged(path, remedy)
    return content


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, compared with its digest; raises UserError if the file is damaged."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        raise damaged(path) from None
    return without_digest(value, path, needed=False)


def text_with_digest(text: str) -> str:
    """A text with a first line that is a comment in YAML and holds the digest of the rest."""
    return f"{FIRST_LINE}{digest_of(text.encode())}\n{text}"


def text_is_intact(content: bytes) -> bool:
    """Whether bytes are the output of `text_with_digest`, or have no digest."""
    first, _, rest = content.partition(b"\n")
    return (
        not first.startswith(FIRST_LINE.encode())
        or first == f"{FIRST_LINE}{digest_of(rest)}".encode()
    )
