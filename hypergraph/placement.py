"""Which modality is trained where: a value that one can print, and give.

artwork   rank 0, cuda:0
artist    rank 1, cuda:1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hvdtma.errors import UserError, nearest


@dataclass(frozen=True, order=True)
class Place:
    """A device of a rank."""

    rank: int
    device: str = "cpu"

    def __str__(self) -> str:
        return f"rank {self.rank}, {self.device}"


@dataclass(frozen=True)
class Placement:
    """Modality -> place, in the order of the modalities."""

    places: Mapping[str, Place]

    @classmethod
    def balanced(cls, sizes: Mapping[str, int], places: Sequence[Place]) -> Placement:
        """One modality per place while there are enough of them, then the smallest share one.

        The largest are placed first, each where least is (longest processing time first: Graham,
        1969); equal ones in their own order, so that every rank finds the same.

        Args:
            sizes: of each modality, in items.

        Raises UserError if a rank would have nothing.
        """
        _check_ranks({place.rank for place in places}, len(sizes))
        load = dict.fromkeys(places, 0)
        chosen: dict[str, Place] = {}
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            place = min(load, key=lambda place: load[place])
            chosen[name] = place
            load[place] += sizes[name]
        return cls({name: chosen[name] for name in sizes})

    @classmethod
    def given(
        cls, ranks: Mapping[str, int], names: Sequence[str], places: Sequence[Place]
    ) -> Placement:
        """Modality -> rank as the user says, each on the rank's first device.

        Raises UserError for a modality that is unknown or has no place, and for a rank that is not
        there or has nothing.
        """
        first = {place.rank: place for place in reversed(places)}
        for name in ranks:
            if name not in names:
                raise UserError(
                    f"the placement names the modality '{name}'; {nearest(name, list(names))}"
                )
        for name in names:
            if name not in ranks:
                raise UserError(f"the placement has no rank for the modality '{name}'")
            if ranks[name] not in first:
                raise UserError(
                    f"the placement puts '{name}' on rank {ranks[name]}; there are {len(first)} "
                    f"ranks, 0 to {len(first) - 1}"
                )
        idle = sorted(set(first) - set(ranks.values()))
        if idle:
            raise UserError(f"the placement leaves rank {idle[0]} without a modality")
        return cls({name: first[ranks[name]] for name in names})

    def of_rank(self, rank: int) -> dict[Place, list[str]]:
        """A rank's devices, and the modalities of each."""
        found: dict[Place, list[str]] = {}
        for name, place in self.places.items():
            if place.rank == rank:
                found.setdefault(place, []).append(name)
        return found

    def __str__(self) -> str:
        width = max(map(len, self.places), default=0)
        return "\n".join(f"{name:<{width}}   {place}" for name, place in self.places.items())


def _check_ranks(ranks: set[int], num_modalities: int) -> None:
    if len(ranks) > num_modalities:
        raise UserError(
            f"{len(ranks)} ranks for {num_modalities} modalities: a rank needs at least one; start "
            f"{num_modalities} or fewer"
        )
