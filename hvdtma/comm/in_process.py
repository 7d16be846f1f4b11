"""Many trainers in one process, one computing at a time, each with a clock of its own.

A trainer's clock runs only while it computes, and a collective sets all clocks to the latest: so
one machine shows how M trainers would behave on M machines. Turns go round in rank order, which
makes every run the same.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class RandomState(NamedTuple):
    """Where PyTorch's random numbers stand: the CPU's, and the current GPU's once one is used."""

    cpu: torch.Tensor
    cuda: torch.Tensor | None

    @classmethod
    def now(cls) -> RandomState:
        used = torch.cuda.is_initialized()
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state() if used else None)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)


class InProcessGroup:
    """Runs a function as M trainers.

    Args:
        size: number of trainers.
        latency_s, bytes_per_s: cost of a collective on the virtual clock.
    """

    def __init__(self, size: int, *, latency_s: float = 0.0, bytes_per_s: float = float("inf")):
        self.size = size
        self.latency_s, self.bytes_per_s = latency_s, bytes_per_s
        self.changed = threading.Condition()
        self.turn = 0
        self.given: list[Any] = []
        self.result: Any = None
        self.clocks = [0.0] * size
        self.exchanges = 0
        self.failure: BaseException | None = None
        self.ended: set[int] = set()

    def run(self, function: Callable[[InProcessComm], Any]) -> list[Any]:
        """Call `function(comm)` as every trainer; their results by rank, or the first failure."""
        results: list[Any] = [None] * self.size

        def trainer(comm: InProcessComm) -> None:
            try:
                comm.resume()
                results[comm.rank] = function(comm)
            except BaseException as error:  # noqa: BLE001 - raised again by the caller below
                self.failure = self.failure or error
            comm.pause()
            self.ended.add(comm.rank)
            self.pass_turn(comm.rank)

        self.ended.clear()
        state = RandomState.now()
        threads = [
            threading.Thread(target=trainer, args=(InProcessComm(self, rank, state),), daemon=True)
            for rank in range(self.size)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure is not None:
            raise self.failure
        return results

    def pass_turn(self, rank: int) -> None:
        """Let the next trainer after `rank` compute that has not ended."""
        after = [*range(rank + 1, self.size), *range(rank + 1)]
        with self.changed:
            self.turn = next((other for other in after if other not in self.ended), 0)
            self.changed.notify_all()

    def combine(self, combine: Callable[[list], Any], num_bytes: int) -> None:
        """What the last to arrive does: make the result, and set every clock to the latest."""
        self.result, self.given = combine(self.given), []
        self.exchanges += 1
        cost_s = self.latency_s + num_bytes / self.bytes_per_s
        self.clocks[:] = [max(self.clocks) + cost_s] * self.size


class InProcessComm:
    """One trainer's view of an InProcessGroup."""

    elastic = False

    def __init__(self, group: InProcessGroup, rank: int, random_state: RandomState):
        self.group, self.rank, self.size = group, rank, group.size
        self.local_rank, self.local_size = 0, 1  # each stands for a machine of its own
        self.random_state = random_state
        self.resumed_at = 0.0

    def clock(self) -> float:
        return self.group.clocks[self.rank] + time.perf_counter() - self.resumed_at

    def sleep_until(self, deadline: float) -> None:
        self.group.clocks[self.rank] += max(0.0, deadline - self.clock())

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        num_bytes = flat_P.numel() * flat_P.element_size()
        return self._exchange(flat_P, lambda given: torch.stack(given).sum(0), num_bytes).clone()

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        return self._exchange(row_S, torch.stack)

    def regroup(self) -> None: ...

    def newcomers_wait(self) -> bool:
        return False

    def leave(self) -> None: ...

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return self._exchange(value, lambda given: given[root])

    def all_gather_object(self, value: Any) -> list[Any]:
        return self._exchange(value, list)

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        return [given[self.rank] for given in self._exchange(pieces, list)]

    def resume(self) -> None:
        """Wait for this trainer's turn, then let its clock and its random numbers go on."""
        group = self.group
        with group.changed:
            group.changed.wait_for(lambda: group.turn == self.rank or group.failure)
        if group.failure is not None:
            raise RuntimeError("another trainer failed") from group.failure
        self.random_state.restore()
        self.resumed_at = time.perf_counter()

    def pause(self) -> None:
        """Stop this trainer's clock and put its random numbers by."""
        self.group.clocks[self.rank] = self.clock()
        self.random_state = RandomState.now()

    def _exchange(self, value: Any, combine: Callable[[list], Any], num_bytes: int = 0) -> Any:
        """Give a value, let the others give theirs, and take what `combine` makes of them all."""
        group = self.group
        before = group.exchanges
        self.pause()
        group.given.append(value)
        if len(group.given) == self.size:
            group.combine(combine, num_bytes)
        group.pass_turn(self.rank)
        self.resume()
        if group.exchanges == before:
            raise RuntimeError("a trainer ended while others still called a collective")
        return group.result
