"""Many trainers in one process, one at a time, each with its own clock.

A trainer's clock runs only while the trainer computes, and a collective sets all clocks to the
latest of them. So one machine shows how M trainers would behave on M machines. Trainers take turns
in rank order, so every run is the same.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from hvdtma.comm.communicator import sum_in_rank_order


class RandomState(NamedTuple):
    """States of PyTorch's random generators: the CPU's, and the current GPU's if one is used."""

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
        latency_s, bytes_per_s: cost of a collective on the virtual clocks.

    Attributes:
        turn: rank of the trainer that computes.
        turn_changed: notified when `turn` changes.
        inputs: of the collective under way, from the trainers that have called it.
        result: of the last collective.
        collectives_done: number of collectives that have completed.
        clocks: each trainer's clock at its last pause, in seconds.
        failure: the first error that a trainer raised.
        ended: ranks of the trainers that have returned or failed.
    """

    def __init__(self, size: int, *, latency_s: float = 0.0, bytes_per_s: float = float("inf")):
        self.size = size
        self.latency_s, self.bytes_per_s = latency_s, bytes_per_s
        self.turn = 0
        self.turn_changed = threading.Condition()
        self.inputs: list[Any] = []
        self.result: Any = None
        self.collectives_done = 0
        self.clocks = [0.0] * size
        self.failure: BaseException | None = None
        self.ended: set[int] = set()

    def run(self, function: Callable[[InProcessComm], Any]) -> list[Any]:
        """Call `function(comm)` as every trainer.

        Returns the results in rank order, or raises the first failure.
        """
        results: list[Any] = [None] * self.size

        def trainer(comm: InProcessComm) -> None:
            try:
                comm.resume()
                results[comm.rank] = function(comm)
            except BaseException as error:  # noqa: BLE001 - raised again at the end of `run`
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
        """Give the turn to the next trainer after `rank` that has not ended."""
        others = [*range(rank + 1, self.size), *range(rank + 1)]
        with self.turn_changed:
            self.turn = next((other for other in others if other not in self.ended), 0)
            self.turn_changed.notify_all()

    def complete(self, combine: Callable[[list], Any], num_bytes: int) -> None:
        """Complete a collective that all trainers have called; set every clock to the latest."""
        self.result, self.inputs = combine(self.inputs), []
        self.collectives_done += 1
        cost_s = self.latency_s + num_bytes / self.bytes_per_s
        self.clocks[:] = [max(self.clocks) + cost_s] * self.size


class InProcessComm:
    """The communicator of one trainer of an `InProcessGroup`."""

    elastic = False

    def __init__(self, group: InProcessGroup, rank: int, random_state: RandomState):
        self.group, self.rank, self.size = group, rank, group.size
        self.local_rank, self.local_size = 0, 1  # as if on a machine of its own
        self.random_state = random_state
        self.resumed_at = 0.0

    def regroup(self) -> None: ...

    def newcomers_wait(self) -> bool:
        return False

    def leave(self) -> None: ...

    def clock(self) -> float:
        return self.group.clocks[self.rank] + time.perf_counter() - self.resumed_at

    def sleep_until(self, deadline: float) -> None:
        self.group.clocks[self.rank] += max(0.0, deadline - self.clock())

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        num_bytes = flat_P.numel() * flat_P.element_size()
        return self._collective(flat_P, sum_in_rank_order, num_bytes).clone()

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        return self._collective(row_S, torch.stack)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return self._collective(value, lambda values: values[root])

    def all_gather_object(self, value: Any) -> list[Any]:
        return self._collective(value, list)

    def gather_object(self, value: Any) -> list[Any]:
        values = self._collective(value, list)
        return values if self.rank == 0 else []

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        return [sent[self.rank] for sent in self._collective(pieces, list)]

    def resume(self) -> None:
        """Wait for this trainer's turn; start its clock and restore its random state."""
        group = self.group
        with group.turn_changed:
            group.turn_changed.wait_for(lambda: group.turn == self.rank or group.failure)
        if group.failure is not None:
            raise RuntimeError("another trainer failed") from group.failure
        self.random_state.restore()
        self.resumed_at = time.perf_counter()

    def pause(self) -> None:
        """Stop this trainer's clock and keep its random state."""
        self.group.clocks[self.rank] = self.clock()
        self.random_state = RandomState.now()

    def _collective(self, value: Any, combine: Callable[[list], Any], num_bytes: int = 0) -> Any:
        """Pass a value, wait for the others, and return `combine(all values in rank order)`."""
        group = self.group
        before = group.collectives_done
        self.pause()
        group.inputs.append(value)
        if len(group.inputs) == self.size:
            group.complete(combine, num_bytes)
        group.pass_turn(self.rank)
        self.resume()
        if group.collectives_done == before:
            raise RuntimeError("a trainer ended while others still called a collective")
        return group.result
