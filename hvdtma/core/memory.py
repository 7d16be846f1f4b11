"""Memory limits: the memory that a stage requires, and the memory that a limit leaves for it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from hvdtma.core.errors import UserError

# Python, the libraries, compiled code and write buffers. Numba's first compilation counts: the
# smallest build takes 500 MiB if its code is compiled already and 555 if not, a streaming
# partition 490 and 570. With 6 million edges, at the least limit, a build takes 757 and 839.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 1 << 30
BASE_BYTES = 664 << 20
LEAST_WORK_BYTES = 64 << 20
UNLIMITED = 1 << 62  # bytes
# As a container sees them; version 2 and version 1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class MemoryRequirement:
    """The least memory for one purpose.

    Attributes:
        purpose: for messages, such as "verifying 600 nodes".
        reserved_bytes: bytes in use throughout, the process itself included.
        work_bytes: the least bytes to work in besides these.
    """

    purpose: str
    reserved_bytes: int
    work_bytes: int = LEAST_WORK_BYTES

    @property
    def total_bytes(self) -> int:
        """Reserved bytes and work bytes."""
        return self.reserved_bytes + self.work_bytes

    def available(self, memory_gb: float | None) -> int:
        """Bytes to work in under a limit of `memory_gb` GiB; `UNLIMITED` without a limit.

        Raises UserError if the limit is too small.
        """
        if memory_gb is None:
            return UNLIMITED
        num_bytes = MemoryBudget.limit(memory_gb).num_bytes
        if num_bytes < self.total_bytes:
            raise self.too_small(memory_gb)
        return num_bytes - self.reserved_bytes

    def too_small(self, memory_gb: float) -> UserError:
        """The error for a limit that is too small; names the least that is enough, rounded up."""
        least_gb = -(-self.total_bytes * 100 // 2**30) / 100
        return UserError(
            f"memory_gb is {memory_gb:.4g}, too little for {self.purpose}; "
            f"give memory_gb={least_gb:.2f} or more"
        )


@dataclass(frozen=True)
class MemoryBudget:
    """A limit on the memory of this process.

    Attributes:
        num_bytes: the limit.
        reserved_bytes: the share of it that is in use throughout, besides `BASE_BYTES`.
    """

    num_bytes: int
    reserved_bytes: int = 0

    @classmethod
    def limit(cls, memory_gb: float | None) -> MemoryBudget:
        """A limit of `memory_gb` GiB (None: half of the free memory); raises UserError if <= 0."""
        if memory_gb is None:
            free = psutil.virtual_memory().available
            return cls(max(free // 2, BASE_BYTES + LEAST_WORK_BYTES))
        if not memory_gb > 0:
            raise UserError(f"memory_gb is {memory_gb}; it must be above 0")
        return cls(int(memory_gb * 2**30))

    @property
    def memory_gb(self) -> float:
        """The limit in GiB."""
        return self.num_bytes / 2**30

    def reserve(self, num_bytes: int) -> MemoryBudget:
        """The same limit with `num_bytes` more in use throughout."""
        return MemoryBudget(self.num_bytes, self.reserved_bytes + num_bytes)

    def requirement(self, num_bytes: int, purpose: str) -> MemoryRequirement:
        """The memory for `num_bytes` besides everything that is reserved."""
        return MemoryRequirement(purpose, BASE_BYTES + self.reserved_bytes + num_bytes)

    def fits(self, num_bytes: int) -> bool:
        """Whether the limit allows `num_bytes` more and the least work space."""
        return self.requirement(num_bytes, "").total_bytes <= self.num_bytes

    def available(self, num_bytes: int, purpose: str) -> int:
        """Bytes to work in while `purpose` uses `num_bytes` whatever the limit.

        To be called at the beginning of a stage: memory that earlier stages freed is returned to
        the system first. Raises UserError if the limit is too small.
        """
        trim_memory()
        requirement = self.requirement(num_bytes, purpose)
        if requirement.total_bytes > self.num_bytes:
            raise requirement.too_small(self.memory_gb)
        return self.num_bytes - requirement.reserved_bytes


def machine_memory_gb() -> float:
    """Memory of this machine in GiB, or the share of it that this job may use.

    The share is the limit of Slurm, or of the control group (cgroup) of this process.
    """
    limits = [psutil.virtual_memory().total]
    limits += [_slurm_limit(os.environ), *map(_number_in, CGROUP_LIMITS)]
    return min(limit for limit in limits if limit) / 2**30


def _slurm_limit(environ: Mapping[str, str]) -> int:
    """Bytes that a Slurm job may use on this node; 0 if Slurm does not say."""
    names = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")
    per_node, per_cpu, cpus = (
        int(text) if (text := environ.get(name, "")).isdigit() else 0 for name in names
    )
    return (per_node or per_cpu * cpus) << 20


def _number_in(file: Path) -> int:
    """The number in a file; 0 if there is none, or the file has another word, such as `max`."""
    try:
        text = file.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 1 GiB for the next step.

    It returns blocks of more than 32 MiB to the system otherwise, which clears them again for every
    step: 5 to 9 % of a step. `trim_memory` still returns them.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def trim_memory() -> None:
    """Return freed memory to the system: glibc keeps freed blocks of less than 32 MiB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
