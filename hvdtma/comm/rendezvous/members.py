"""Who trains, generation by generation: pure bookkeeping, asked by many threads at once.

A generation is a set of trainers that call collectives together. When one is lost, or newcomers
wait, every member of it comes to the door again; the next generation is formed of those who came.
Members keep their order, so the first one is always a member that knows where training stands;
newcomers follow in order of their names. When all members are lost at once, those who come next
begin again, from what was saved.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class RankInfo:
    """A trainer's place in a generation; the words are Horovod's."""

    generation: int
    rank: int
    size: int
    local_rank: int
    local_size: int
    cross_rank: int
    cross_size: int

    @property
    def words(self) -> str:
        """As Horovod wants to be told."""
        return ",".join(str(number) for number in list(asdict(self).values())[1:])


def rank_infos(hosts: list[str], generation: int) -> list[RankInfo]:
    """The rank_infos of trainers on `hosts`, one each, in order of rank."""
    local_sizes, seen, found = Counter(hosts), Counter[str](), []
    on_level: Counter[int] = Counter()  # how many hosts have a trainer of this local rank
    for host in hosts:
        found.append((host, seen[host], on_level[seen[host]]))
        on_level[seen[host]] += 1
        seen[host] += 1
    return [
        RankInfo(generation, rank, len(hosts), local, local_sizes[host], cross, on_level[local])
        for rank, (host, local, cross) in enumerate(found)
    ]


class TooFewTrainers(Exception):
    """Fewer than the minimum are left, or came, and nobody else did in time."""


class GivenUp(Exception):
    """The others went on without this trainer."""


class Members:
    """Forms generations.

    Attributes:
        finished: names of those who came to the end of training.
        draining: the job is about to end: those who know where training stands do not wait for
            the minimum, so that they can save.

    Args:
        wanted: trainers that the first generation waits for, `start_timeout_s` long; may be set
            later, too.
        minimum: fewer do not train; they wait `rejoin_timeout_s` for others.
        hang_limit_s: a member that has not come this long after the first one did, and has given
            no sign of life either, is given up: it may be busy reading, or scoring.
        dropped: is told the names of those given up.
    """

    def __init__(
        self,
        *,
        wanted: int,
        minimum: int = 1,
        start_timeout_s: float = 600.0,
        rejoin_timeout_s: float = 600.0,
        hang_limit_s: float = 30.0,
        dropped: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.wanted, self.minimum, self.hang_limit_s = wanted, minimum, hang_limit_s
        self.start_timeout_s, self.rejoin_timeout_s = start_timeout_s, rejoin_timeout_s
        self.dropped, self.clock = dropped, clock
        self.generation = 0
        self.present: dict[str, RankInfo] = {}
        self.waiting: dict[str, str] = {}  # name -> host, in order of arrival
        self.gone: set[str] = set()
        self.finished: set[str] = set()
        self.draining = False
        self.opened: float | None = None  # when the first member came to the door
        self.alive: dict[str, float] = {}  # name -> last sign of life
        self._lock = threading.Lock()

    def join(self, name: str, host: str, generation: int = 0) -> RankInfo | None:
        """Come to the door for a generation after `generation`; None while it is not formed.

        Raises TooFewTrainers if it will not be, GivenUp for one that came too late.
        """
        with self._lock:
            if name in self.gone:
                raise GivenUp
            if not self._placed(name, generation):
                self.waiting.setdefault(name, host)
                if self.opened is None and (name in self.present or not self.present):
                    self.opened = self.clock()
                self._form_if_ready()
            return self._placed(name, generation)

    def lost(self, name: str) -> None:
        """A trainer's process ended, or its node is gone."""
        with self._lock:
            self.gone.add(name)
            self.waiting.pop(name, None)

    @property
    def newcomers(self) -> list[str]:
        """Those at the door who are not of the present generation."""
        with self._lock:
            return [name for name in self.waiting if name not in self.present]

    @property
    def eldest(self) -> str | None:
        """The first of the present generation who is not lost."""
        return next((name for name in self.present if name not in self.gone), None)

    def _placed(self, name: str, generation: int) -> RankInfo | None:
        place = self.present.get(name)
        return place if place and place.generation > generation else None

    def _form_if_ready(self) -> None:
        expected = [name for name in self.present if name not in self.gone]
        if self.present and not expected:  # what they knew went with them
            self.present, self.opened = {}, self.clock()
        waited_s = 0.0 if self.opened is None else self.clock() - self.opened
        missing = [name for name in expected if name not in self.waiting]
        if missing and self.opened is None:
            return
        for name in missing:
            if (
                self.clock() - max(self.opened or 0.0, self.alive.get(name, 0.0))
                < self.hang_limit_s
            ):
                return
        for name in missing:
            self.gone.add(name)
            self.dropped(name)
        starting = not self.present and waited_s < self.start_timeout_s
        if starting and len(self.waiting) < self.wanted:
            return
        if len(self.waiting) >= (1 if self.draining and expected else self.minimum):
            self._form()
        elif waited_s >= self.rejoin_timeout_s:
            raise TooFewTrainers

    def _form(self) -> None:
        """Those at the door, members first, are the next generation.

        After a loss the others average first what they have: newcomers come in after that.
        """
        names = [name for name in self.present if name in self.waiting]
        lost = any(name in self.gone for name in self.present)
        if not lost or len(names) < self.minimum:
            names += sorted(name for name in self.waiting if name not in self.present)
        self.generation += 1
        hosts = [self.waiting[name] for name in names]
        self.present = dict(zip(names, rank_infos(hosts, self.generation), strict=True))
        self.waiting = {name: host for name, host in self.waiting.items() if name not in names}
        self.opened = None

    def answer(self, question: dict) -> dict:
        """What a trainer that asks the job's rendezvous is told."""
        if question["question"] == "newcomers":
            return {"newcomers": self.newcomers}
        if question["question"] == "alive":
            self.alive[question["name"]] = self.clock()
            return {}
        if question["question"] == "leave":
            self.finished.add(question["name"])
            return {}
        try:
            place = self.join(question["name"], question["host"], question["generation"])
        except TooFewTrainers:
            words = f"fewer than {self.minimum} trainers are left, or came in time"
            return {"too_few": words, "saves_for_all": question["name"] == self.eldest}
        except GivenUp:
            return {"given_up": f"{question['name']} was given up: it did not answer in time"}
        return {"place": asdict(place)} if place else {}
