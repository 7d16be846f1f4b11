"""The score of a model on a part of a store's split.

Legend: N nodes, n held-out links, K negatives per link, Q nodes, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from hvdtma.core.errors import UserError
from hvdtma.core.memory import trim_memory
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import (
    MemoryRequirement,
    ScoringBudget,
    most_scored,
    scoring_needs,
    too_little,
)
from hvdtma.evaluation.embed import embed
from hvdtma.evaluation.metrics import area_under_roc, class_metrics, link_metrics, ranks
from hvdtma.evaluation.rows import StoredRows, gather
from hvdtma.evaluation.sampled import TooWide, embed_sampled, neighbourhood_bytes
from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore
from hvdtma.tasks import Model
from hvdtma.tasks.task import sampled_fanouts

VALUES_AT_ONCE = 1 << 20  # embedding values of scored pairs; small enough for the cache
SAMPLE_SEED = 0  # which held-out links are scored when not all are, and their neighbours
SAMPLED_BYTES = 2 << 30  # of one pass over the store, where memory is not limited

Vectors = Callable[[np.ndarray], np.ndarray]  # embeddings [Q, H] of nodes [Q]
Made = TypeVar("Made")


class Scorer:
    """Scores models on one store; reads the held-out links once.

    Raises UserError if the store has no such split, or `memory_gb` is too little.
    """

    def __init__(self, config: TrainConfig, store: GraphStore, device: torch.device | None = None):
        self.config, self.store = config, store
        self.device = device or torch.device("cpu")
        self.needs = scoring_needs(config, store)
        self.room = ScoringBudget.of(config, self.needs)
        self.parts = {part: self._part(part) for part in ("valid", "test")}

    def _part(self, part: str) -> Pairs | np.ndarray:
        name = f"split/{part}/{'node' if self.config.task.name == 'nodes' else 'src'}"
        total = self.store.array(name).shape[0] if name in self.store else 0
        if not total:
            raise UserError(
                f"{self.store.path} has no {part} {self.config.task.name} to score on; "
                "build it with a split"
            )
        most = most_scored(self.config, part)
        chosen = None
        if 0 < most < total:
            rng = np.random.default_rng(SAMPLE_SEED)
            chosen = np.sort(rng.choice(total, most, replace=False))
        if self.config.task.name == "nodes":
            return self._rows(name, chosen)
        fields = {
            field: self._rows(f"split/{part}/{field}", chosen)
            for field in ("src", "dst", "neg", "edge_type")
            if f"split/{part}/{field}" in self.store
        }
        return Pairs(**fields)

    def _rows(self, name: str, chosen: np.ndarray | None) -> np.ndarray:
        """Rows of an array; no others are held meanwhile."""
        if chosen is None:
            return self.store.read(name)
        return gather(StoredRows(self.store, name), chosen)

    def __call__(self, model: Model, part: str) -> dict[str, float]:
        """Metrics of `valid` or `test`."""
        held_out = self.parts[part]
        vectors, most_nodes = self._embedded(model)
        if isinstance(held_out, Pairs):
            return self._links(model, vectors, held_out, most_nodes)
        return self._classes(model, vectors, held_out, most_nodes)

    def _embedded(self, model: Model) -> tuple[Vectors, int | None]:
        """Embeddings by node, and of how many nodes at most at a time (None: of any)."""
        trim_memory()  # what was let go of, of a shard or an earlier score
        if self.config.evaluate.sample:
            node_bytes = neighbourhood_bytes(self.config, self.store, 1)
            vectors = partial(
                embed_sampled,
                model.encoder,
                self.store,
                fanouts=sampled_fanouts(self.config),
                seed=SAMPLE_SEED,
                device=self.device,
                room_bytes=self.room.num_bytes,
            )
            return vectors, max(min(self.room.num_bytes, SAMPLED_BYTES) // node_bytes, 1)
        h = embed(model.encoder, self.store, device=self.device, room=self.room)
        if isinstance(h, np.ndarray):
            return h.__getitem__, None
        return partial(gather, h), max(self.room.num_bytes // (16 * h.shape[1]), 1)

    @torch.no_grad()
    def _classes(
        self, model: Model, vectors: Vectors, nodes: np.ndarray, most_nodes: int | None
    ) -> dict[str, float]:
        predicted = []
        for h in self._in_pieces(
            len(nodes), most_nodes or len(nodes), lambda here: vectors(nodes[here])
        ):
            on_device = torch.from_numpy(h).to(self.device)
            predicted.append(model.head(on_device).argmax(1).cpu().numpy())
        label = gather(StoredRows(self.store, "label"), nodes)
        return class_metrics(np.concatenate(predicted), label)

    @torch.no_grad()
    def _links(
        self, model: Model, vectors: Vectors, pairs: Pairs, most_nodes: int | None
    ) -> dict[str, float]:
        if pairs.neg is None:
            raise UserError(f"{self.store.path} has no negatives to rank against")
        # Made beforehand: small arrays kept from every piece hold on to the pages between them.
        ends_n2 = torch.empty(len(pairs), 2)  # the positive's score, and its first negative's
        rank_n = torch.empty(len(pairs), dtype=torch.float64)
        done = 0
        for group, vectors_of_group in self._groups(pairs, vectors, most_nodes):
            for scores in self._scores(model, group, vectors_of_group):
                here = slice(done, done + len(scores))
                ends_n2[here] = scores[:, :2].cpu()
                rank_n[here] = ranks(scores[:, 0], scores[:, 1:]).cpu()
                done += len(scores)
        auc = area_under_roc(ends_n2[:, 0].numpy(), ends_n2[:, 1].numpy())
        return link_metrics(rank_n, auc)

    def _scores(self, model: Model, pairs: Pairs, vectors: Vectors) -> Iterator[torch.Tensor]:
        """Scores [rows, 1 + K] of a few links at a time: the true destination first."""
        assert pairs.neg is not None
        values = model.encoder.out_dim * (pairs.neg.shape[1] + 1)
        rows = max(1, VALUES_AT_ONCE // values)
        for start in range(0, len(pairs), rows):
            few = pairs.take(slice(start, start + rows))
            assert few.neg is not None
            candidates = np.concatenate([few.dst[:, None], few.neg], axis=1)
            u = torch.from_numpy(vectors(few.src)).to(self.device)
            v = torch.from_numpy(vectors(candidates)).to(self.device)
            types = None
            if few.edge_type is not None:
                types = torch.from_numpy(few.edge_type.astype(np.int64)).to(self.device)
                types = types[:, None].expand(candidates.shape)
            yield model.head(u[:, None, :].expand_as(v), v, types).float()

    def _groups(
        self, pairs: Pairs, vectors: Vectors, most_nodes: int | None
    ) -> Iterator[tuple[Pairs, Vectors]]:
        """Links in groups that touch at most so many nodes (or one link's), with their vectors."""
        assert pairs.neg is not None
        if most_nodes is None:
            yield pairs, vectors
            return

        def group(here: slice) -> tuple[Pairs, Vectors]:
            few = pairs.take(here)
            assert few.neg is not None
            ends = np.concatenate([few.src[:, None], few.dst[:, None], few.neg], axis=1)
            nodes, local = np.unique(ends, return_inverse=True)
            local = local.reshape(ends.shape)
            h = vectors(nodes.astype(np.int64))
            return Pairs(local[:, 0], local[:, 1], local[:, 2:], few.edge_type), h.__getitem__

        step = max(most_nodes // (2 + pairs.neg.shape[1]), 1)
        yield from self._in_pieces(len(pairs), step, group)

    def _in_pieces(self, number: int, step: int, make: Callable[[slice], Made]) -> Iterator[Made]:
        """`make` of ranges of at most `step`; shorter ones where their neighbourhoods do not fit.

        Raises UserError that names the least limit, where that of a single one does not.
        """
        start = 0
        while start < number:
            here = slice(start, min(start + step, number))
            try:
                made = make(here)
            except TooWide as error:
                step = (here.stop - start) // 2
                if step:
                    continue
                needs = MemoryRequirement(
                    self.needs.what, self.needs.held_bytes, error.needed_bytes
                )
                assert self.config.memory_gb is not None  # without a limit nothing is too wide
                raise too_little(self.config.memory_gb, needs) from None
            yield made
            start = here.stop
