"""Ranks tell one another of their modalities: who needs what is known to all, nothing is asked.

    exact     every iteration, the rows that the batches touch
    stale     every so many seconds, all rows; in between each trains on what it last remote_factors

A view goes only to ranks that train another modality of the same relation. With whatever goes, even
with nothing, travels one number: whether the sender asks all to stop.

Legend: M ranks, R rank of the factors.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from hvdtma.comm.communicator import Communicator
from hypergraph.data import MultimodalHypergraph
from hypergraph.placement import Placement
from hypergraph.train.batches import HyperedgeBatch
from hypergraph.train.factor_view import FactorView, flat_length

Views = dict[str, FactorView]
Key = tuple[str, str]
"""What a view that is sent is kept under: a batch's relation (or the modality), the modality."""


@dataclass(frozen=True)
class Message:
    """A view that one rank sends another.

    Attributes:
        num_rows: that it has.
    """

    key: Key
    num_rows: int


class Exchange:
    """Sends views between ranks.

    Args:
        data: of which sizes and relations are taken.
        dim: R.

    Attributes:
        bytes_sent: by this rank, so far.
        deliver_cpu_s: CPU seconds in the communicator's calls, so far; packing is not in it.
        asked: whether this rank asks all to stop; the next exchange says so.
        told: whether a rank asked for it in the last exchange: the same on all of them.
    """

    def __init__(
        self,
        comm: Communicator,
        placement: Placement,
        data: MultimodalHypergraph,
        dim: int,
    ):
        self.comm, self.placement, self.dim = comm, placement, dim
        self.relations = {r.name: r.modalities for r in data.relations.values()}
        self.sizes, self.relations_of = data.sizes, data.relation_names
        self.bytes_sent, self.deliver_cpu_s = 0, 0.0
        self.asked = self.told = False

    def of_batches(self, own: Views, batches: Sequence[HyperedgeBatch]) -> dict[str, Views]:
        """Relation -> modality -> view of the rows that its batch touches; a collective call.

        Those of other ranks come without gradients.
        """
        plan = {
            (source, target): [
                Message((batch.relation, name), len(batch.rows[name]))
                for batch in batches
                for name in self._needed(batch.relation, source, target)
            ]
            for source, target in self._pairs()
        }
        views = {
            (batch.relation, name): own[name].take(batch.rows[name])
            for batch in batches
            for name in self.relations[batch.relation]
            if name in own
        }
        views |= self._send(views, plan, _dtype(own))
        return {
            batch.relation: {
                name: views[batch.relation, name]
                for name in self.relations[batch.relation]
                if (batch.relation, name) in views
            }
            for batch in batches
        }

    def of_all(self, own: Views) -> Views:
        """Modality -> view of all its rows, of the other ranks'; a collective call."""
        plan = {
            (source, target): [
                Message((name, name), self.sizes[name])
                for name in self.placement.places
                if any(name in self._needed(r, source, target) for r in self.relations)
            ]
            for source, target in self._pairs()
        }
        views = {(name, name): view for name, view in own.items()}
        remote_factors = self._send(views, plan, _dtype(own))
        return {name: view for (name, _), view in remote_factors.items()}

    def _pairs(self) -> list[tuple[int, int]]:
        """The pairs of ranks that this one is in."""
        me, others = self.comm.rank, range(self.comm.size)
        return [(me, to) for to in others if to != me] + [(of, me) for of in others if of != me]

    def _needed(self, relation: str, source: int, target: int) -> list[str]:
        """The modalities of a relation on `source`, if `target` trains others of it."""
        ranks = {name: self.placement.places[name].rank for name in self.relations[relation]}
        if target not in ranks.values():
            return []
        return [name for name, rank in ranks.items() if rank == source]

    def _send(
        self,
        views: Mapping[Key, FactorView],
        plan: Mapping[tuple[int, int], list[Message]],
        dtype: torch.dtype,
    ) -> dict[Key, FactorView]:
        me, size = self.comm.rank, self.comm.size
        if size == 1:
            self.told = self.asked
            return {}
        sent = {target: plan.get((me, target), []) for target in range(size)}
        asked = torch.tensor([self.asked]).to(dtype)  # looked at once: a signal sets it
        flat_of = {  # once, however many ranks it goes to
            key: views[key].flat() for key in {m.key for of in sent.values() for m in of}
        }
        pieces = [torch.cat([*(flat_of[m.key] for m in of), asked]) for of in sent.values()]
        self.bytes_sent += sum(
            piece.numel() * piece.element_size() for to, piece in enumerate(pieces) if to != me
        )
        remote_factors: dict[Key, FactorView] = {}
        start = cpu_s()
        delivered = self.comm.all_to_all(pieces)
        self.deliver_cpu_s += cpu_s() - start
        self.told = any(bool(flat[-1]) for flat in delivered)
        for source, flat in enumerate(delivered):
            for message in plan.get((source, me), []):
                rows, (_, modality) = message.num_rows, message.key
                relations, num_items = self.relations_of[modality], self.sizes[modality]
                length = flat_length(rows, self.dim, len(relations))
                view = FactorView.from_flat(flat[:length], rows, self.dim, num_items, relations)
                remote_factors[message.key], flat = view, flat[length:]
        return remote_factors


def cpu_s() -> float:
    """CPU seconds: of this thread where PyTorch has one, else of the process."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.process_time()


def _dtype(own: Views) -> torch.dtype:
    return next(iter(own.values())).rows_SR.dtype
