"""Link prediction: positives of the shard against drawn negatives, binary cross-entropy.

Legend: B positives of a batch, Q negatives of a batch, S distinct seeds, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hvdtma.config import TrainConfig
from hvdtma.graph.store import GraphStore
from hvdtma.models.decoders import make_decoder
from hvdtma.shard.negatives import NEGATIVES
from hvdtma.shard.sampling import Neighbourhood, Targets, sample_neighbourhood
from hvdtma.shard.shard import Shard
from hvdtma.tasks.task import Model, sampled_fanouts


@dataclass
class LinkBatch:
    """Positives, negatives, and what surrounds them.

    Attributes:
        around: the neighbourhood of the S distinct nodes.
        src, dst: int64 [B] positives, as positions among the seeds.
        neg_row: int64 [Q] whose source a negative belongs to; neg_dst: its seed position.
        edge_type: int64 [B], or None.
    """

    around: Neighbourhood
    src: torch.Tensor
    dst: torch.Tensor
    neg_row: torch.Tensor
    neg_dst: torch.Tensor
    edge_type: torch.Tensor | None

    @property
    def size(self) -> int:
        return len(self.src)

    def to(self, device: torch.device) -> LinkBatch:
        if device.type == "cpu":
            return self
        moved = {k: v.to(device) for k, v in vars(self).items() if v is not None}
        return replace(self, **moved)


@dataclass(frozen=True)
class Positives:
    """A shard's training links: an undirected one once. Local numbers, int64; type may be None."""

    src: np.ndarray
    dst: np.ndarray
    edge_type: np.ndarray | None

    @classmethod
    def of(cls, shard: Shard, undirected: bool) -> Positives:
        src, dst = shard.csc.indices, shard.csc.destinations()
        chosen = np.flatnonzero(src < dst) if undirected else np.arange(len(src))
        types = shard.csc.edge_type
        return cls(src[chosen], dst[chosen], None if types is None else types[chosen])


class LinkTask:
    """Link prediction on one store."""

    def __init__(self, config: TrainConfig, store: GraphStore):
        self.task = config.task
        self.fanouts = sampled_fanouts(config)
        self.undirected = store.undirected
        self.num_types = len(store.edge_type_names)
        self.needs_foreign = config.task.negatives == "global"

    def make_head(self, dim: int) -> nn.Module:
        return make_decoder(self.task.decoder, dim, self.num_types)

    def num_examples(self, shard: Shard) -> int:
        return shard.csc.num_edges // (2 if self.undirected else 1)

    def batches(self, shard: Shard, *, stream: list[int]) -> Iterator[LinkBatch]:
        """Batches without end; positives are shuffled anew each epoch."""
        positives = Positives.of(shard, self.undirected)
        step = 0
        for epoch in range(1 << 62):
            order = np.random.default_rng([*stream, 0, epoch]).permutation(len(positives.src))
            for first in range(0, len(order), self.task.batch_size):
                chosen = order[first : first + self.task.batch_size]
                yield self.make_batch(shard, positives, chosen, [*stream, 1, step])
                step += 1

    def make_batch(
        self, shard: Shard, positives: Positives, chosen: np.ndarray, stream: list[int]
    ) -> LinkBatch:
        """The batch of these positives; negatives and sampling are a function of `stream`."""
        rng = np.random.default_rng(stream)
        src, dst = (ends[chosen].astype(np.int64) for ends in (positives.src, positives.dst))
        if self.undirected:  # either end may be the one that negatives replace
            turned = rng.random(len(src)) < 0.5
            src, dst = np.where(turned, dst, src), np.where(turned, src, dst)
        draw = NEGATIVES[self.task.negatives]
        neg_row, neg_node = draw(shard, src, dst, self.task.num_negatives, rng)
        seeds, position = np.unique(np.concatenate([src, dst, neg_node]), return_inverse=True)
        around = sample_neighbourhood(
            shard,
            torch.from_numpy(seeds),
            self.fanouts,
            random_seed=int(rng.integers(1 << 31)),
            targets=Targets(src, dst) if self.task.exclude_targets else None,
        )
        src_at, dst_at, neg_at = np.split(position, [len(src), 2 * len(src)])
        types = positives.edge_type
        return LinkBatch(
            around,
            torch.from_numpy(src_at),
            torch.from_numpy(dst_at),
            torch.from_numpy(neg_row),
            torch.from_numpy(neg_at),
            None if types is None else torch.from_numpy(types[chosen].astype(np.int64)),
        )

    def loss(self, model: Model, batch: LinkBatch) -> torch.Tensor:
        """Mean over positives plus mean over negatives, halved: both weigh the same."""
        h_SH = model.encoder(batch.around.blocks, batch.around.x, batch.around.hop)
        positive_B = model.head(h_SH[batch.src], h_SH[batch.dst], batch.edge_type)
        types_Q = None if batch.edge_type is None else batch.edge_type[batch.neg_row]
        negative_Q = model.head(h_SH[batch.src[batch.neg_row]], h_SH[batch.neg_dst], types_Q)
        positive = binary_cross_entropy_with_logits(positive_B, torch.ones_like(positive_B))
        if not len(negative_Q):
            return positive
        negative = binary_cross_entropy_with_logits(negative_Q, torch.zeros_like(negative_Q))
        return (positive + negative) / 2
