"""Link prediction: links of the shard against drawn negatives, binary cross-entropy.

A held-out link is never in the training graph; a batch's own links are kept out of its messages
by the `Targets` that `make_batch` gives to the sampler.

Legend: B links of a batch, Q negatives of a batch, S distinct seeds, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError
from hvdtma.core.options import call_with_options
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.source import Pairs
from hvdtma.graph.stored_rows import stored
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.negatives import NEGATIVES
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets
from hvdtma.sampling.sampler import make_sampler
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS, shuffled_batches
from hvdtma.tasks.link_scoring import read_pairs, score_links
from hvdtma.tasks.metrics import HITS
from hvdtma.tasks.task import Embeddings, Model, TrainingSize, max_of_sample


@dataclass
class LinkBatch:
    """Positives, negatives, and what surrounds them.

    Attributes:
        neighbourhood: of the S distinct nodes.
        src, dst: int64 [B] positives, as positions among the seeds.
        neg_row: int64 [Q] whose source a negative belongs to; neg_dst: its seed position.
        edge_type: int64 [B], or None.
    """

    neighbourhood: Neighbourhood
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


class Positives:
    """A shard's training links, an undirected one once, found in its CSC by number.

    Sources ascend within a row, so the links (u, v) of an undirected graph with u < v, each of
    which stands in it twice, are the first of v's row.
    """

    def __init__(self, shard: Shard, undirected: bool):
        self.csc = shard.csc
        self.row_ends = shard.csc.indptr  # links before a row's, and after
        if undirected:
            below_n = _count_below(shard.csc.indptr, shard.csc.indices)
            self.row_ends = np.concatenate([[0], np.cumsum(below_n)])

    def __len__(self) -> int:
        return int(self.row_ends[-1])

    def take(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Links by number: src and dst int64, local, and int16 types or None."""
        dst = np.searchsorted(self.row_ends, chosen, side="right") - 1
        edge = self.csc.indptr[dst] + (chosen - self.row_ends[dst])
        types = self.csc.edge_type
        return self.csc.indices[edge].astype(np.int64), dst, None if types is None else types[edge]


@njit()
def _count_below(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """How many sources of each row are smaller than the row, int64 [n]."""
    count = np.zeros(len(indptr) - 1, np.int64)
    for row in range(len(count)):
        for edge in range(indptr[row], indptr[row + 1]):
            if indices[edge] >= row:
                break
            count[row] += 1
    return count


class LinkTask:
    """Link prediction on one store; see `hvdtma.tasks.task.Task`."""

    metrics = ("mrr", *(f"hits@{k}" for k in HITS), "auc")
    unit = "links"
    needs_labels = False

    def __init__(self, config: TrainConfig, store: GraphFacts):
        self.config, self.task, self.store = config, config.task, store
        self.sampler = make_sampler(config.sampler, sampled_fanouts(config))
        self.undirected = store.undirected
        self.num_types = len(store.edge_type_names)
        self.needs_remote = config.task.negatives == "global"
        self.seeds_per_step = self.task.batch_size * (2 + self.task.num_negatives)
        negatives = [each for _, each in store.held_out.values()]
        self.nodes_per_item = 2 + max(negatives, default=0)

    def make_head(self, dim: int) -> nn.Module:
        return call_with_options(
            "decoder",
            self.task.decoder,
            self.task.decoder_options,
            dim,
            defaults={"num_types": self.num_types},
        )

    def num_examples(self, size: TrainingSize) -> int:
        return size.num_edges // (2 if self.undirected else 1)

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[LinkBatch]:
        """Batches of so many epochs; positives are shuffled anew for each."""
        positives = Positives(shard, self.undirected)
        number = len(positives)

        def shuffled(epoch: int) -> np.ndarray:
            order: np.ndarray = np.arange(number, dtype=index_dtype(number))
            np.random.default_rng([*stream, 0, epoch]).shuffle(order)
            return order

        for step, chosen in shuffled_batches(
            shuffled, number, self.task.batch_size, epochs=epochs, first_step=first_step
        ):
            yield self.make_batch(shard, positives, chosen, [*stream, 1, step])

    def make_batch(
        self, shard: Shard, positives: Positives, chosen: np.ndarray, stream: list[int]
    ) -> LinkBatch:
        """The batch of these positives; negatives and sampling are a function of `stream`."""
        rng = np.random.default_rng(stream)
        src, dst, types = positives.take(chosen)
        if self.undirected:  # either end may be the one that negatives replace
            turned = rng.random(len(src)) < 0.5
            src, dst = np.where(turned, dst, src), np.where(turned, src, dst)
        draw = NEGATIVES[self.task.negatives]
        neg_row, neg_node = draw(shard, src, dst, self.task.num_negatives, rng)
        seeds, position = np.unique(np.concatenate([src, dst, neg_node]), return_inverse=True)
        neighbourhood = self.sampler.sample(
            shard,
            torch.from_numpy(seeds),
            random_seed=int(rng.integers(1 << 31)),
            targets=Targets(src, dst) if self.task.exclude_targets else None,
        )
        src_at, dst_at, neg_at = np.split(position, [len(src), 2 * len(src)])
        return LinkBatch(
            neighbourhood,
            torch.from_numpy(src_at),
            torch.from_numpy(dst_at),
            torch.from_numpy(neg_row),
            torch.from_numpy(neg_at),
            None if types is None else torch.from_numpy(types.astype(np.int64)),
        )

    def loss(self, model: Model, batch: LinkBatch) -> torch.Tensor:
        """Mean over positives plus mean over negatives, halved: both weigh the same."""
        positive_B, negative_Q = self.scores(model, batch)
        positive = binary_cross_entropy_with_logits(positive_B, torch.ones_like(positive_B))
        if not len(negative_Q):
            return positive
        negative = binary_cross_entropy_with_logits(negative_Q, torch.zeros_like(negative_Q))
        return (positive + negative) / 2

    def scores(self, model: Model, batch: LinkBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the links [B] and of the negatives [Q]; row `neg_row[q]` is q's link."""
        around = batch.neighbourhood
        h_SH = model.encoder(around.blocks, around.x, around.first_hop)
        positive_B = model.head(h_SH[batch.src], h_SH[batch.dst], batch.edge_type)
        types_Q = None if batch.edge_type is None else batch.edge_type[batch.neg_row]
        negative_Q = model.head(h_SH[batch.src[batch.neg_row]], h_SH[batch.neg_dst], types_Q)
        return positive_B, negative_Q

    def num_held_out(self, part: str) -> int:
        return self.store.held_out.get(part, (0, 0))[0]

    def max_scored(self, part: str) -> int:
        limit = self.config.evaluate.max_links if part == "valid" else 0
        return max_of_sample(self.config, limit)

    def held_out_bytes(self) -> int:
        negative = np.dtype(index_dtype(self.store.num_nodes)).itemsize
        link = 8 + 8 + 2 * bool(self.num_types)
        return sum(
            (self.max_scored(part) or total) * (link + each * negative)
            for part, (total, each) in self.store.held_out.items()
        )

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> Pairs:
        return read_pairs(stored(self.store), part, chosen)

    def score(self, model: Model, held_out: Pairs, embeddings: Embeddings) -> dict[str, float]:
        if held_out.neg is None:
            raise UserError(f"{self.store.path} has no negatives to rank against")
        return score_links(model, held_out, embeddings)
