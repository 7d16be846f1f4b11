"""The exchange of factors between ranks.

    exact     in every iteration, the rows of the batches
    stale     from time to time, all rows; in between, ranks train on the rows they received last

A view is sent to the ranks that train another modality of the same relation. Every rank knows the
placement and the batches, so nothing is requested. Each message ends with a number: whether the
sender requests that all ranks stop.

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
"""Identifies a view: (relation of the batch, modality), or (modality, modality) for all rows."""


@dataclass(frozen=True)
class Message:
    """A view that one rank sends to another."""

    key: Key
    num_rows: int


class Exchange:
    """Sends views between ranks.

    Args:
        data: its sizes and relations are used.
        dim: R.

    Attributes:
        bytes_sent: bytes that this rank has sent.
        communicator_cpu_s: CPU seconds in the communicator's calls, without packing.
        stop_requested: this rank requests that all ranks stop; the next exchange sends it.
        stopping: a rank requested it in the last exchange; the same on all ranks.
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
        self.bytes_sent, self.communicator_cpu_s = 0, 0.0
        self.stop_requested = self.stopping = False

    def of_batches(self, own: Views, batches: Sequence[HyperedgeBatch]) -> dict[str, Views]:
        """Relation -> modality -> view of the rows of its batch. Collective.

        Views of other ranks have no gradients.
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
        """Modality of another rank -> view of all its rows. Collective."""
        plan = {
            (source, target): [
                Message((name, name), self.sizes[name])
                for name in self.placement.slots
                if any(name in self._needed(r, source, target) for r in self.relations)
            ]
            for source, target in self._pairs()
        }
        views = {(name, name): view for name, view in own.items()}
        received = self._send(views, plan, _dtype(own))
        return {name: view for (name, _), view in received.items()}

    def _pairs(self) -> list[tuple[int, int]]:
        """The pairs (source, target) of ranks with this rank."""
        me, others = self.comm.rank, range(self.comm.size)
        return [(me, to) for to in others if to != me] + [(of, me) for of in others if of != me]

    def _needed(self, relation: str, source: int, target: int) -> list[str]:
        """The modalities of a relation on `source`, if `target` trains others of the relation."""
        ranks = {name: self.placement.slots[name].rank for name in self.relations[relation]}
        if target not in ranks.values():
            return []
        return [name for name, rank in ranks.items() if rank == source]

    def _send(
        self,
        views: Mapping[Key, FactorView],
        plan: Mapping[tuple[int, int], list[Message]],
        dtype: torch.dtype,
    ) -> dict[Key, FactorView]:
        """Send views to other ranks, and return the ones they send.

        Args:
            plan: (source, target) -> the messages, in order; the same on both ranks.
        """
        me, size = self.comm.rank, self.comm.size
        if size == 1:
            self.stopping = self.stop_requested
            return {}
        sent = {target: plan.get((me, target), []) for target in range(size)}
        stop = torch.tensor([self.stop_requested]).to(dtype)  # read once: a signal may set it
        flat_of = {  # packed once for all targets
            key: views[key].flat() for key in {m.key for of in sent.values() for m in of}
        }
        pieces = [torch.cat([*(flat_of[m.key] for m in of), stop]) for of in sent.values()]
        self.bytes_sent += sum(
            piece.numel() * piece.element_size() for to, piece in enumerate(pieces) if to != me
        )
        start = cpu_s()
        received = self.comm.all_to_all(pieces)
        self.communicator_cpu_s += cpu_s() - start
        self.stopping = any(bool(flat[-1]) for flat in received)
        return {
            key: view
            for source, flat in enumerate(received)
            for key, view in self._unpack(flat, plan.get((source, me), []))
        }

    def _unpack(
        self, flat: torch.Tensor, messages: Sequence[Message]
    ) -> list[tuple[Key, FactorView]]:
        """The views in a received tensor."""
        views = []
        for message in messages:
            rows, (_, modality) = message.num_rows, message.key
            relations, num_items = self.relations_of[modality], self.sizes[modality]
            length = flat_length(rows, self.dim, len(relations))
            view = FactorView.from_flat(flat[:length], rows, self.dim, num_items, relations)
            views.append((message.key, view))
            flat = flat[length:]
        return views


def cpu_s() -> float:
    """CPU seconds of this thread; of the process if PyTorch has several threads."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.process_time()


def _dtype(own: Views) -> torch.dtype:
    return next(iter(own.values())).rows_SR.dtype
