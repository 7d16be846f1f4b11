"""How much memory there is to work in."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import psutil

from hvdtma.core.errors import UserError

# Python, the libraries, compiled code, what is being written. Numba's first compilation counts: of
# almost nothing, a build takes 500 MiB where its code is compiled already and 555 where it is not,
# a partition by streaming 490 and 570. Of 6 million edges, at the least limit, 757 and 839.
BASE_BYTES = 664 << 20
LEAST_BYTES = 64 << 20  # to work in, beside what a stage must hold


@dataclass(frozen=True)
class MemoryBudget:
    """A limit on what this process holds, in bytes; raises UserError where it is too small.

    Attributes:
        num_bytes: the limit.
        reserved_bytes: of it, what is held all the time.
    """

    num_bytes: int
    reserved_bytes: int = 0

    @classmethod
    def limit(cls, memory_gb: float | None) -> MemoryBudget:
        """`memory_gb` GiB, or half of what is free."""
        if memory_gb is None:
            return cls(max(psutil.virtual_memory().available // 2, BASE_BYTES + LEAST_BYTES))
        if not memory_gb > 0:
            raise UserError(f"memory_gb is {memory_gb}; it must be above 0")
        return cls(int(memory_gb * 2**30))

    def reserve(self, reserved_bytes: int) -> MemoryBudget:
        """The same limit, when so much more is held all the time."""
        return MemoryBudget(self.num_bytes, self.reserved_bytes + reserved_bytes)

    def fits(self, needed_bytes: int) -> bool:
        """Whether so much can be held, and worked beside."""
        return self.num_bytes - BASE_BYTES - self.reserved_bytes - needed_bytes >= LEAST_BYTES

    def available(self, needed_bytes: int, what: str) -> int:
        """Bytes to work in, beside `needed_bytes` that `what` holds whatever the limit.

        Asked at the beginning of a stage: what earlier ones let go of is given back first.
        """
        give_back()
        needed = BASE_BYTES + self.reserved_bytes + needed_bytes
        if not self.fits(needed_bytes):
            least_gb = math.ceil((needed + LEAST_BYTES) / 2**30 * 100) / 100  # so it is enough
            raise UserError(
                f"{what} needs {least_gb:.2f} GiB at least; memory_gb is "
                f"{self.num_bytes / 2**30:.4g}"
            )
        return self.num_bytes - needed


def give_back() -> None:
    """Give freed memory back to the system: glibc keeps what is smaller than 32 MiB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
