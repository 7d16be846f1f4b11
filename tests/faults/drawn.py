"""Cases from a grammar, which is a strategy of Hypothesis: a number of them, from a seed."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
TRIES = 4  # for distinct cases


def drawn(strategy: SearchStrategy[T], random: Random, number: int) -> list[T]:
    """So many distinct cases of a grammar; fewer if it has no more."""
    found: list[T] = []
    printed: set[str] = set()

    @seed(random.getrandbits(64))
    @settings(
        max_examples=TRIES * number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(case: T) -> None:
        if repr(case) not in printed:
            printed.add(repr(case))
            found.append(case)

    collect()
    random.shuffle(found)  # the first ones that Hypothesis draws are the simplest
    return found[:number]
