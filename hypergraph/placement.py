"""Which modality is trained where: a value that one can print.

artwork   rank 0, cuda:0
artist    rank 1, cuda:1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hvdtma.core.errors import UserError, nearest


@dataclass(frozen=True, order=True)
class DeviceSlot:
    """A device of a rank."""

    rank: int
    device: str = "cpu"

    def __str__(self) -> str:
        return f"rank {self.rank}, {self.device}"


@dataclass(frozen=True)
class Placement:
    """Modality -> place, in the order of the modalities."""

    places: Mapping[str, DeviceSlot]

    @classmethod
    def balanced(cls, sizes: Mapping[str, int], places: Sequence[DeviceSlot]) -> Placement:
        """One modality per place while there are enough of them, then the smallest share one.

        The largest are placed first, each where least is (longest processing time first: Graham,
        1969); equal ones in their own order, so that every rank finds the same.

        Args:
            sizes: of each modality, in items.

        Raises UserError if a rank would have nothing.
        """
        _check_ranks({place.rank for place in places}, len(sizes))
        load = dict.fromkeys(places, 0)
        chosen: dict[str, DeviceSlot] = {}
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            place = min(load, key=lambda place: load[place])
            chosen[name] = place
            load[place] += sizes[name]
        return cls({name: chosen[name] for name in sizes})

    @classmethod
    def given(
        cls, wishes: Mapping[str, int | str], names: Sequence[str], places: Sequence[DeviceSlot]
    ) -> Placement:
        """Modality -> a rank's first device, or a device of a single rank, as the user says.

        Raises UserError for a modality that is unknown or has no place, for a rank or a device
        that is not there, and for a rank that has nothing.
        """
        for name in wishes:
            if name not in names:
                raise UserError(
                    f"the placement names the modality '{name}'; {nearest(name, list(names))}"
                )
        for name in names:
            if name not in wishes:
                raise UserError(f"the placement has no rank for the modality '{name}'")
        chosen = {name: _wished(name, wishes[name], places) for name in names}
        idle = {place.rank for place in places} - {place.rank for place in chosen.values()}
        if idle:
            raise UserError(f"the placement leaves rank {min(idle)} without a modality")
        return cls(chosen)

    def of_rank(self, rank: int) -> dict[DeviceSlot, list[str]]:
        """A rank's devices, and the modalities of each."""
        found: dict[DeviceSlot, list[str]] = {}
        for name, place in self.places.items():
            if place.rank == rank:
                found.setdefault(place, []).append(name)
        return found

    def __str__(self) -> str:
        width = max(map(len, self.places), default=0)
        return "\n".join(f"{name:<{width}}   {place}" for name, place in self.places.items())


def _wished(name: str, wish: int | str, places: Sequence[DeviceSlot]) -> DeviceSlot:
    """Where the user wants a modality."""
    ranks = sorted({place.rank for place in places})
    if isinstance(wish, int):
        found = [place for place in places if place.rank == wish]
        there = f"{len(ranks)} ranks, 0 to {ranks[-1]}"
        wanted = f"rank {wish}"
    else:
        if len(ranks) > 1:
            raise UserError(
                f"the placement puts '{name}' on {wish}; with {len(ranks)} ranks give a rank: each "
                "has a device of its own"
            )
        found = [place for place in places if place.device == wish]
        there, wanted = ", ".join(place.device for place in places), wish
    if not found:
        raise UserError(f"the placement puts '{name}' on {wanted}; there are {there}")
    return found[0]


def _check_ranks(ranks: set[int], num_modalities: int) -> None:
    if len(ranks) > num_modalities:
        raise UserError(
            f"{len(ranks)} ranks for {num_modalities} modalities: a rank needs at least one; start "
            f"{num_modalities} or fewer"
        )
