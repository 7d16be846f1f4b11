"""Memory as Slurm writes it."""

from __future__ import annotations

import re

from hvdtma.core.errors import UserError

WRITTEN = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
GIB = {"K": 2**-20, "M": 2**-10, "G": 1, "T": 2**10}


def parse_memory_gb(text: str) -> float:
    """Memory in GiB, from `40G`, `4000M`, `1T`, or `4000`, which is MiB; 0 is all of a node.

    Raises UserError for any other text.
    """
    match = WRITTEN.fullmatch(text.strip())
    if not match:
        raise UserError(
            f"mem is '{text}'; valid: 40G, 4000M, 1T, 4000 (MiB), or 0 for all memory of a node"
        )
    return int(match[1]) * GIB[match[2].upper() or "M"]
