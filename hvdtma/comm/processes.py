"""The base class of communicators between processes: Horovod and torch.distributed.

Legend: M trainers, P parameters in the flat buffer, C = ceil(P / M), S values in a row.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import torch

from hvdtma.comm.communicator import sum_in_rank_order
from hvdtma.comm.objects import decode_object, encode_object

POLL_S = 0.0005  # between looks at a collective that runs


class ProcessCommunicator(ABC):
    """Implements the collectives of `Communicator` with four collectives of a transport.

    A transport polls its collectives rather than block in them, so that Python's signal handlers
    run meanwhile, and raises TrainerLost if another trainer ends.

    Attributes:
        secret: of the job; None if its launcher has none. Objects are signed with it.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    elastic: bool
    secret: str | None = None
    _nccl: bool | None = None  # None: not decided yet in this group

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        """The sum in rank order: each rank sums one part of it, then all gather the parts.

        The transports' own all-reduce adds in an order of its own (a ring starts each part at
        another rank). This one sends as many bytes as a ring: 2 P (M - 1) / M values per rank.
        """
        buffer_P = flat_P if self._uses_nccl(flat_P.device) else flat_P.cpu()
        num_values = len(buffer_P)
        if not num_values:
            return flat_P
        padding = buffer_P.new_zeros(-num_values % self.size)
        padded = torch.cat([buffer_P, padding]) if len(padding) else buffer_P
        parts_MC = self._all_to_all_rows(padded.view(self.size, -1))
        sum_C = sum_in_rank_order(parts_MC.unbind())
        return self._all_gather_rows(sum_C).view(-1)[:num_values].to(flat_P.device)

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        return self._all_gather_rows(row_S.cpu()).to(row_S.device)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        words = encode_object(value if self.rank == root else None, self.secret)
        length = self._broadcast(torch.tensor([len(words)]), root)
        if self.rank != root:
            words = torch.empty(int(length), dtype=torch.int64)
        return decode_object(self._broadcast(words, root), self.secret)

    def all_gather_object(self, value: Any) -> list[Any]:
        words = encode_object(value, self.secret)
        lengths = self._all_gather_rows(torch.tensor([len(words)])).flatten().tolist()
        padding = words.new_zeros(max(lengths) - len(words))
        rows = self._all_gather_rows(torch.cat([words, padding]))
        pairs = zip(rows, lengths, strict=True)
        return [decode_object(row[:length], self.secret) for row, length in pairs]

    def gather_object(self, value: Any) -> list[Any]:
        words = encode_object(value, self.secret)
        received = self.all_to_all([words, *[words[:0]] * (self.size - 1)])
        return [decode_object(piece, self.secret) for piece in received] if self.rank == 0 else []

    @abstractmethod
    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]: ...

    @abstractmethod
    def _all_to_all_rows(self, rows_MC: torch.Tensor) -> torch.Tensor:
        """Send row r to rank r; return the M rows that this rank received, [M, C]."""

    @abstractmethod
    def _all_gather_rows(self, row_S: torch.Tensor) -> torch.Tensor:
        """The rows of all ranks, all of one length, [M, S]."""

    @abstractmethod
    def _broadcast(self, values: torch.Tensor, root: int) -> torch.Tensor:
        """The values of rank `root`, which all ranks know the length and dtype of."""

    @abstractmethod
    def _has_nccl(self) -> bool:
        """Whether this process can use NCCL."""

    def _uses_nccl(self, device: torch.device) -> bool:
        """Whether tensors on `device` go through NCCL; the same answer on every rank. Collective.

        NCCL needs a GPU of its own for each trainer. The ranks ask one another once in a group:
        local ranks do not tell it, because a newcomer may take a lost trainer's GPU.
        """
        if self._nccl is None:
            gpu = None
            if device.type == "cuda" and self._has_nccl():
                gpu = str(torch.cuda.get_device_properties(device).uuid)
            gpus = self.all_gather_object(gpu)
            self._nccl = None not in gpus and len(set(gpus)) == self.size
        return self._nccl
