"""Link prediction: links of the shard against random negatives, with binary cross-entropy.

Validation and test links are not in the training graph. The links that a batch predicts are removed
from its messages: `make_batch` passes them to the sampler as `Targets`
(`hvdtma.sampling.neighbourhood`).

Legend: B links of a batch, Q negatives of a batch, S distinct seeds, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError
from hvdtma.core.registry import resolve
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.candidate_text import candidate_text
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.source import Pairs
from hvdtma.graph.stored_rows import stored
from hvdtma.models import make_decoder, sampled_fanouts
from hvdtma.models.decoders import chosen_decoder
from hvdtma.sampling.negatives import NEGATIVES
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets
from hvdtma.sampling.sampler import make_sampler
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS, shuffled_batches
from hvdtma.tasks.link_scoring import read_pairs, score_links
from hvdtma.tasks.metrics import HITS
from hvdtma.tasks.task import Embeddings, Model, TrainingSize, max_of_sample


class Remark(NamedTuple):
    """A line to print at the start of a run."""

    text: str
    is_warning: bool = False


@dataclass
class LinkBatch:
    """The links of a batch, their negatives, and the neighbourhood of all their nodes.

    Attributes:
        neighbourhood: neighbourhood of the S distinct nodes (seeds).
        src, dst: int64 [B] ends of the links, as positions among the seeds.
        neg_row: int64 [Q]; negative q replaces the destination of link `neg_row[q]`,
        neg_dst: int64 [Q]; by the seed at position `neg_dst[q]`.
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
    """A shard's training links by number, taken from its CSC. An undirected link counts once.

    An undirected graph has each link in both directions. The direction u -> v with u < v is used.
    Sources ascend within a row, so these are the first entries of row v.
    """

    def __init__(self, shard: Shard, undirected: bool):
        self.csc = shard.csc
        self.row_ends = shard.csc.indptr  # row r has the links row_ends[r] : row_ends[r + 1]
        if undirected:
            below_n = _count_below(shard.csc.indptr, shard.csc.indices)
            self.row_ends = np.concatenate([[0], np.cumsum(below_n)])

    def __len__(self) -> int:
        return int(self.row_ends[-1])

    def take(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Source and destination (int64 local numbers) and int16 types (or None) of some links."""
        dst = np.searchsorted(self.row_ends, chosen, side="right") - 1
        edge = self.csc.indptr[dst] + (chosen - self.row_ends[dst])
        types = self.csc.edge_type
        return self.csc.indices[edge].astype(np.int64), dst, None if types is None else types[edge]


@njit()
def _count_below(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Number of sources of each row that are smaller than the row's number, int64 [n]."""
    count = np.zeros(len(indptr) - 1, np.int64)
    for row in range(len(count)):
        for edge in range(indptr[row], indptr[row + 1]):
            if indices[edge] >= row:
                break
            count[row] += 1
    return count


class LinkTask:
    """Link prediction on one store. See `hvdtma.tasks.task.Task`."""

    metrics = ("mrr", *(f"hits@{k}" for k in HITS), "auc")
    least_is_best = ()
    unit = "links"
    needs_labels = False

    def __init__(self, config: TrainConfig, store: GraphFacts):
        self.config, self.task, self.store = config, config.task, store
        self.sampler = make_sampler(config.sampler, sampled_fanouts(config))
        self.undirected = store.undirected
        self.num_types = len(store.edge_type_names)
        self.needs_remote = config.task.negatives == "global"
        self.seeds_per_step = self.task.batch_size * (2 + self.task.num_negatives)
        negatives = [num_negatives for _, num_negatives in store.held_out.values()]
        self.nodes_per_item = 2 + max(negatives, default=0)

    def make_head(self, dim: int) -> nn.Module:
        return make_decoder(self.task, dim, self.num_types, self.undirected)

    def remarks(self) -> list[Remark]:
        """The choices that were made for this store, and what looks wrong with the config."""
        remarks, decoder = [], self.task.decoder
        if decoder == "auto":
            kind = "undirected" if self.undirected else "directed"
            chosen = chosen_decoder(self.undirected)
            remarks.append(Remark(f"decoder: {chosen}, for the store is {kind}"))
        elif not self.undirected and getattr(resolve("decoder", decoder), "symmetric", False):
            remarks.append(
                Remark(
                    f"the store is directed, but the decoder {decoder} gives both directions of a "
                    "link the same score; task.decoder=concat or bilinear tells them apart",
                    is_warning=True,
                )
            )
        rules = self.store.candidate_rules
        if rules.sizes and self.task.negative_destinations == "auto":
            text = candidate_text(rules, self.store.edge_type_names, self.undirected)
            remarks.append(Remark(f"negatives: {text}"))
        return remarks

    def num_examples(self, size: TrainingSize) -> int:
        return size.num_edges // (2 if self.undirected else 1)

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[LinkBatch]:
        """Batches of links, which are shuffled anew for each epoch."""
        positives = Positives(shard, self.undirected)
        num_links = len(positives)

        def shuffled(epoch: int) -> np.ndarray:
            order: np.ndarray = np.arange(num_links, dtype=index_dtype(num_links))
            np.random.default_rng([*stream, 0, epoch]).shuffle(order)
            return order

        for step, chosen in shuffled_batches(
            shuffled, num_links, self.task.batch_size, epochs=epochs, first_step=first_step
        ):
            yield self.make_batch(shard, positives, chosen, [*stream, 1, step])

    def make_batch(
        self, shard: Shard, positives: Positives, chosen: np.ndarray, stream: list[int]
    ) -> LinkBatch:
        """The batch of the chosen links. `stream` seeds negatives and sampling."""
        rng = np.random.default_rng(stream)
        src, dst, types = positives.take(chosen)
        if self.undirected:  # negatives replace a random end
            flipped = rng.random(len(src)) < 0.5
            src, dst = np.where(flipped, dst, src), np.where(flipped, src, dst)
        draw_negatives = NEGATIVES[self.task.negatives]
        sets = None
        if shard.candidates is not None and self.task.negative_destinations == "auto":
            sets = shard.candidates.sets_for(dst, types)
        neg_row, neg_node = draw_negatives(shard, src, dst, self.task.num_negatives, rng, sets)
        seeds, position = np.unique(np.concatenate([src, dst, neg_node]), return_inverse=True)
        neighbourhood = self.sampler.sample(
            shard,
            torch.from_numpy(seeds),
            random_seed=int(rng.integers(1 << 31)),
            targets=Targets(src, dst) if self.task.exclude_targets else None,
        )
        src_B, dst_B, neg_dst_Q = np.split(position, [len(src), 2 * len(src)])
        return LinkBatch(
            neighbourhood,
            torch.from_numpy(src_B),
            torch.from_numpy(dst_B),
            torch.from_numpy(neg_row),
            torch.from_numpy(neg_dst_Q),
            None if types is None else torch.from_numpy(types.astype(np.int64)),
        )

    def loss(self, model: Model, batch: LinkBatch) -> torch.Tensor:
        """The average of the mean over positives and the mean over negatives."""
        positive_B, negative_Q = self.scores(model, batch)
        positive = binary_cross_entropy_with_logits(positive_B, torch.ones_like(positive_B))
        if not len(negative_Q):
            return positive
        negative = binary_cross_entropy_with_logits(negative_Q, torch.zeros_like(negative_Q))
        return (positive + negative) / 2

    def scores(self, model: Model, batch: LinkBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the links [B] and of the negatives [Q]."""
        hood = batch.neighbourhood
        h_SH = model.encoder(hood.blocks, hood.x, hood.first_hop)
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
            (self.max_scored(part) or total) * (link + num_negatives * negative)
            for part, (total, num_negatives) in self.store.held_out.items()
        )

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> Pairs:
        return read_pairs(stored(self.store), part, chosen)

    def score(self, model: Model, held_out: Pairs, embeddings: Embeddings) -> dict[str, float]:
        if held_out.neg is None:
            raise UserError(
                f"{self.store.path} has no negatives to rank held-out links against; build it with "
                "--negatives"
            )
        return score_links(model, held_out, embeddings)
