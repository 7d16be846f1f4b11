"""The trainers of a job, generation by generation. Pure bookkeeping; many threads may call it.

A generation is a set of trainers that call collectives together. When a trainer is lost, or
newcomers wait, every trainer of the generation joins again, and those that joined form the next
generation. Trainers keep their order, so rank 0 always knows the state of training, and newcomers
follow in the order of their names. If all trainers are lost at once, newcomers form the next
generation and go on from the newest checkpoint.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class RankInfo:
    """A trainer's place in a generation, in Horovod's terms."""

    generation: int
    rank: int
    size: int
    local_rank: int
    local_size: int
    cross_rank: int
    cross_size: int

    @property
    def as_horovod(self) -> str:
        """The numbers in the format of Horovod's elastic driver."""
        return ",".join(str(number) for number in list(asdict(self).values())[1:])


def rank_infos(hosts: list[str], generation: int) -> list[RankInfo]:
    """The places of trainers, given each trainer's host in order of rank."""
    local_sizes, seen, found = Counter(hosts), Counter[str](), []
    cross_sizes: Counter[int] = Counter()  # number of hosts that have a trainer of a local rank
    for host in hosts:
        found.append((host, seen[host], cross_sizes[seen[host]]))
        cross_sizes[seen[host]] += 1
        seen[host] += 1
    return [
        RankInfo(generation, rank, len(hosts), local, local_sizes[host], cross, cross_sizes[local])
        for rank, (host, local, cross) in enumerate(found)
    ]


class TooFewMembers(Exception):
    """Fewer trainers than the minimum came in time."""


class ExcludedMember(Exception):
    """The other trainers went on without this one."""


class Members:
    """Forms generations.

    Attributes:
        current: the trainers of the current generation by name, in order of rank.
        waiting: host of each trainer that has joined for the next generation, in order of arrival.
        excluded: names of trainers that were lost or did not respond. They cannot join again.
        finished: names of trainers that came to the end of training.
        draining: whether the job is about to end. Trainers that know the state of training then
            do not wait for the minimum, so that they can save.

    Args:
        expected: number of trainers that the first generation waits for, for `start_timeout_s`.
            It may be changed later.
        minimum: fewer trainers do not train; they wait `rejoin_timeout_s` for others.
        hang_limit_s: a trainer is excluded when it has not joined so long after the first one
            did, and has sent no heartbeat in that time. It may be busy reading or scoring.
        on_exclude: called with the name of a trainer that is excluded for this reason.
    """

    def __init__(
        self,
        *,
        expected: int,
        minimum: int = 1,
        start_timeout_s: float = 600.0,
        rejoin_timeout_s: float = 600.0,
        hang_limit_s: float = 30.0,
        on_exclude: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.expected, self.minimum, self.hang_limit_s = expected, minimum, hang_limit_s
        self.start_timeout_s, self.rejoin_timeout_s = start_timeout_s, rejoin_timeout_s
        self.on_exclude, self.clock = on_exclude, clock
        self.generation = 0
        self.current: dict[str, RankInfo] = {}
        self.waiting: dict[str, str] = {}
        self.excluded: set[str] = set()
        self.finished: set[str] = set()
        self.draining = False
        self.forming_since: float | None = None  # when the first trainer joined the next generation
        self.heartbeats: dict[str, float] = {}  # name -> time of the last one
        self._lock = threading.Lock()

    def join(self, name: str, host: str, generation: int = 0) -> RankInfo | None:
        """Join the generation after `generation`; None while it is not formed.

        Raises TooFewMembers if it will not be formed, ExcludedMember for an excluded trainer.
        """
        with self._lock:
            if name in self.excluded:
                raise ExcludedMember
            if not self._place_after(name, generation):
                self.waiting.setdefault(name, host)
                if self.forming_since is None and (name in self.current or not self.current):
                    self.forming_since = self.clock()
                self._form_if_ready()
            return self._place_after(name, generation)

    def exclude(self, name: str) -> None:
        """A trainer's process ended, or its node is out of service."""
        with self._lock:
            self.excluded.add(name)
            self.waiting.pop(name, None)

    @property
    def newcomers(self) -> list[str]:
        """Names of waiting trainers that are not of the current generation."""
        with self._lock:
            return [name for name in self.waiting if name not in self.current]

    @property
    def first_survivor(self) -> str | None:
        """The first trainer of the current generation that is not excluded."""
        return next((name for name in self.current if name not in self.excluded), None)

    def _place_after(self, name: str, generation: int) -> RankInfo | None:
        info = self.current.get(name)
        return info if info and info.generation > generation else None

    def _form_if_ready(self) -> None:
        survivors = [name for name in self.current if name not in self.excluded]
        if self.current and not survivors:  # the state of training was lost with them
            self.current, self.forming_since = {}, self.clock()
        waited_s = 0.0 if self.forming_since is None else self.clock() - self.forming_since
        missing = [name for name in survivors if name not in self.waiting]
        if missing and (self.forming_since is None or any(map(self._may_come, missing))):
            return
        for name in missing:
            self.excluded.add(name)
            self.on_exclude(name)
        starting = not self.current and waited_s < self.start_timeout_s
        if starting and len(self.waiting) < self.expected:
            return
        if len(self.waiting) >= (1 if self.draining and survivors else self.minimum):
            self._form()
        elif waited_s >= self.rejoin_timeout_s:
            raise TooFewMembers

    def _may_come(self, name: str) -> bool:
        """Whether a missing trainer has time left to join, or gave a sign of life lately."""
        last_sign = max(self.forming_since or 0.0, self.heartbeats.get(name, 0.0))
        return self.clock() - last_sign < self.hang_limit_s

    def _form(self) -> None:
        """Make the waiting trainers the next generation, survivors first.

        After a loss, survivors first average the updates that they have; newcomers join after
        that.
        """
        names = [name for name in self.current if name in self.waiting]
        lost = any(name in self.excluded for name in self.current)
        if not lost or len(names) < self.minimum:
            names += sorted(name for name in self.waiting if name not in self.current)
        self.generation += 1
        hosts = [self.waiting[name] for name in names]
        self.current = dict(zip(names, rank_infos(hosts, self.generation), strict=True))
        self.waiting = {name: host for name, host in self.waiting.items() if name not in names}
        self.forming_since = None

    def answer(self, question: dict) -> dict:
        """Answer a trainer's question to the rendezvous.

        newcomers                       {"newcomers": names}
        heartbeat name                  {}
        leave name                      {}
        join name host generation       {"rank_info": ...}, or {} while the generation is not
                                        formed; {"too_few": message, "saves_for_all": bool};
                                        {"excluded": message}

        Raises KeyError, TypeError or ValueError for anything else.
        """
        if question["question"] == "newcomers":
            return {"newcomers": self.newcomers}
        name = question["name"]
        if not isinstance(name, str):
            raise TypeError(name)
        if question["question"] == "heartbeat":
            self.heartbeats[name] = self.clock()
            return {}
        if question["question"] == "leave":
            self.finished.add(name)
            return {}
        if question["question"] != "join":
            raise ValueError(question["question"])
        host, generation = str(question["host"]), int(question["generation"])
        try:
            info = self.join(name, host, generation)
        except TooFewMembers:
            message = f"fewer than {self.minimum} trainers are left, or came in time"
            return {"too_few": message, "saves_for_all": name == self.first_survivor}
        except ExcludedMember:
            return {"excluded": f"trainer {name} was excluded: it did not answer in time"}
        return {"rank_info": asdict(info)} if info else {}
