"""Ranks tell one another of their modalities: who needs what is known to all, nothing is asked.

    exact     every iteration, the rows that the batches touch
    stale     every so many seconds, all rows; in between each trains on what it last heard

A view goes only to ranks that train another modality of the same relation. With whatever goes, even
with nothing, travels one number: whether the sender asks all to stop.

Legend: M ranks, R rank of the factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from hvdtma.comm.communicator import Communicator
from hypergraph.placement import Placement
from hypergraph.train.batches import Batch
from hypergraph.train.share import View, flat_length

Views = dict[str, View]


@dataclass(frozen=True)
class Message:
    """A view that one rank sends another.

    Attributes:
        key: what the receiver keeps it under.
        items: the rows; None is all.
    """

    key: tuple[str, str]
    modality: str
    items: torch.Tensor | None


class Exchange:
    """Sends views between ranks.

    Args:
        relations: name -> modalities.
        sizes: items of each modality.
        dim: R.

    Attributes:
        bytes_sent: by this rank, so far.
        asked: whether this rank asks all to stop; the next exchange says so.
        told: whether a rank asked for it in the last exchange: the same on all of them.
    """

    def __init__(
        self,
        comm: Communicator,
        placement: Placement,
        relations: Mapping[str, Sequence[str]],
        sizes: Mapping[str, int],
        dim: int,
    ):
        self.comm, self.placement, self.dim = comm, placement, dim
        self.relations, self.sizes = relations, sizes
        self.relations_of = {
            name: tuple(r for r, names in relations.items() if name in names) for name in sizes
        }
        self.bytes_sent = 0
        self.asked = self.told = False

    def of_batches(self, own: Views, batches: Sequence[Batch]) -> dict[str, Views]:
        """Relation -> modality -> view of the rows that its batch touches; a collective call.

        Those of other ranks come without gradients.
        """
        plan = {
            (source, target): [
                Message((batch.relation, name), name, batch.rows[name])
                for batch in batches
                for name in self._needed(batch.relation, source, target)
            ]
            for source, target in self._pairs()
        }
        heard = self._send(own, plan)
        return {
            batch.relation: {
                name: own[name].take(batch.rows[name])
                if name in own
                else heard[batch.relation, name]
                for name in self.relations[batch.relation]
                if name in own or (batch.relation, name) in heard
            }
            for batch in batches
        }

    def of_all(self, own: Views) -> Views:
        """Modality -> view of all its rows, of the other ranks'; a collective call."""
        plan = {
            (source, target): [
                Message((name, name), name, None)
                for name in self.placement.sites
                if any(name in self._needed(r, source, target) for r in self.relations)
            ]
            for source, target in self._pairs()
        }
        return {name: view for (name, _), view in self._send(own, plan).items()}

    def _pairs(self) -> list[tuple[int, int]]:
        """The pairs of ranks that this one is in."""
        me, others = self.comm.rank, range(self.comm.size)
        return [(me, to) for to in others if to != me] + [(of, me) for of in others if of != me]

    def _needed(self, relation: str, source: int, target: int) -> list[str]:
        """The modalities of a relation on `source`, if `target` trains others of it."""
        ranks = {name: self.placement.sites[name].rank for name in self.relations[relation]}
        if target not in ranks.values():
            return []
        return [name for name, rank in ranks.items() if rank == source]

    def _send(
        self, own: Views, plan: dict[tuple[int, int], list[Message]]
    ) -> dict[tuple[str, str], View]:
        me, size = self.comm.rank, self.comm.size
        if size == 1:
            self.told = self.asked
            return {}
        asked = torch.tensor([self.asked]).to(_dtype(own))  # looked at once: a signal sets it
        pieces = [
            torch.cat([*(_flat(own, message) for message in plan.get((me, target), [])), asked])
            for target in range(size)
        ]
        self.bytes_sent += sum(
            piece.numel() * piece.element_size() for to, piece in enumerate(pieces) if to != me
        )
        heard: dict[tuple[str, str], View] = {}
        delivered = self.comm.deliver(pieces)
        self.told = any(bool(flat[-1]) for flat in delivered)
        for source, flat in enumerate(delivered):
            for message in plan.get((source, me), []):
                size, relations = self.sizes[message.modality], self.relations_of[message.modality]
                rows = size if message.items is None else len(message.items)
                length = flat_length(rows, self.dim, len(relations))
                view = View.from_flat(flat[:length], rows, self.dim, size, relations)
                heard[message.key], flat = view, flat[length:]
        return heard


def _flat(own: Views, message: Message) -> torch.Tensor:
    view = own[message.modality]
    return (view if message.items is None else view.take(message.items)).flat()


def _dtype(own: Views) -> torch.dtype:
    return next(iter(own.values())).rows_SR.dtype
