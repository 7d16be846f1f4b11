"""The placement of modalities on devices, where they are trained.

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
    """Modality -> device, in the order of the modalities. `str` gives a table."""

    slots: Mapping[str, DeviceSlot]

    @classmethod
    def balanced(cls, sizes: Mapping[str, int], slots: Sequence[DeviceSlot]) -> Placement:
        """A modality per device; if there are more modalities, balanced by size.

        The largest modality is placed first, each on the device with the least items so far
        (longest processing time first: Graham, 1969). Ties keep the order of the modalities, so
        that every rank finds the same placement.

        Args:
            sizes: modality -> number of items.

        Raises UserError if there are more ranks than modalities.
        """
        _check_ranks({slot.rank for slot in slots}, len(sizes))
        load = dict.fromkeys(slots, 0)
        chosen: dict[str, DeviceSlot] = {}
        for name in sorted(sizes, key=lambda name: -sizes[name]):
            slot = min(load, key=lambda slot: load[slot])
            chosen[name] = slot
            load[slot] += sizes[name]
        return cls({name: chosen[name] for name in sizes})

    @classmethod
    def given(
        cls, wishes: Mapping[str, int | str], names: Sequence[str], slots: Sequence[DeviceSlot]
    ) -> Placement:
        """The placement that a user gives.

        Args:
            wishes: modality -> a rank (its first device), or a device of a single process.
            names: all modalities.

        Raises UserError for an unknown modality or one that is missing, for a rank or device that
        does not exist, and for a rank without a modality.
        """
        for name in wishes:
            if name not in names:
                raise UserError(
                    f"the placement names the modality '{name}'; {nearest(name, list(names))}"
                )
        for name in names:
            if name not in wishes:
                raise UserError(f"the placement has no rank for the modality '{name}'")
        chosen = {name: _find_slot(name, wishes[name], slots) for name in names}
        idle = {slot.rank for slot in slots} - {slot.rank for slot in chosen.values()}
        if idle:
            raise UserError(f"the placement leaves rank {min(idle)} without a modality")
        return cls(chosen)

    def of_rank(self, rank: int) -> dict[DeviceSlot, list[str]]:
        """The devices of a rank, and the modalities of each."""
        found: dict[DeviceSlot, list[str]] = {}
        for name, slot in self.slots.items():
            if slot.rank == rank:
                found.setdefault(slot, []).append(name)
        return found

    def __str__(self) -> str:
        width = max(map(len, self.slots), default=0)
        return "\n".join(f"{name:<{width}}   {slot}" for name, slot in self.slots.items())


def _find_slot(name: str, wish: int | str, slots: Sequence[DeviceSlot]) -> DeviceSlot:
    """The device that a user wants for a modality."""
    ranks = sorted({slot.rank for slot in slots})
    if isinstance(wish, int):
        found = [slot for slot in slots if slot.rank == wish]
        valid = f"{len(ranks)} ranks, 0 to {ranks[-1]}"
        wanted = f"rank {wish}"
    else:
        if len(ranks) > 1:
            raise UserError(
                f"the placement puts '{name}' on {wish}; with {len(ranks)} ranks give a rank: each "
                "rank has its own device"
            )
        found = [slot for slot in slots if slot.device == wish]
        valid, wanted = ", ".join(slot.device for slot in slots), wish
    if not found:
        raise UserError(f"the placement puts '{name}' on {wanted}; there are {valid}")
    return found[0]


def _check_ranks(ranks: set[int], num_modalities: int) -> None:
    if len(ranks) > num_modalities:
        raise UserError(
            f"{len(ranks)} ranks for {num_modalities} modalities: each rank needs a modality; "
            f"start at most {num_modalities} ranks"
        )
