"""Link prediction: links of the shard against random negatives.

Validation and test links are not in the training graph. The links that a batch predicts are removed
from its messages: `make_batch` passes them to the sampler as `Targets`
(`hvdtma.sampling.neighbourhood`).

Legend: B links of a batch, K negatives of a link, S distinct seeds, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.core.registry import resolve
from hvdtma.core.train_config import TrainConfig, has_factored_decoder
from hvdtma.graph.candidate_text import candidate_text
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.source import Pairs
from hvdtma.graph.stored_rows import stored
from hvdtma.models import make_decoder, sampled_fanouts
from hvdtma.sampling.negatives import (
    Pool,
    SharedNegatives,
    in_batch_negatives,
    own_negatives,
    shared_in_batch,
    shared_negatives,
)
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.prefetch import prefetched
from hvdtma.sampling.sampler import is_grouping, make_sampler
from hvdtma.sampling.shard import Shard
from hvdtma.sampling.typed_shard import TypedShard
from hvdtma.tasks.chance import chance_of_links
from hvdtma.tasks.epochs import ENDLESS, shuffled_batches
from hvdtma.tasks.link_batch import LinkBatch, SharedSet, score_batch
from hvdtma.tasks.link_losses import LOSSES, LinkScores, margin
from hvdtma.tasks.link_scoring import read_pairs, score_links, score_pairs
from hvdtma.tasks.metrics import HITS
from hvdtma.tasks.popularity import correct_popularity, log_drawn
from hvdtma.tasks.positives import Positives
from hvdtma.tasks.task import Embeddings, Model, TrainingSize, max_of_sample
from hvdtma.tasks.typed_links import TargetTypes, TypedPositives

FEW_SHARED = 32  # negatives; so few for a whole batch are hardly meant
SCORE_COPIES = 4  # of the scores of negatives: without links, as probabilities, gradients
PAIR_COPIES = 7  # of the rows of pairs: of both ends, products, hidden layer, and their gradients


class Remark(NamedTuple):
    """A line to print at the start of a run."""

    text: str
    is_warning: bool = False


class LinkTask:
    """Link prediction on one store. See `hvdtma.tasks.task.Task`."""

    metrics = ("mrr", *(f"hits@{k}" for k in HITS), "auc")
    least_is_best = ()
    unit = "links"
    needs_labels = False
    own_values: ClassVar[Mapping[str, Any]] = {
        "sampler": "cluster",
        "batch_size": 4096,
        "lr": 3e-3,
    }

    def __init__(self, config: TrainConfig, store: GraphFacts):
        self.config, self.task, self.store = config, config.task, store
        self.sampler = make_sampler(config.sampler, sampled_fanouts(config))
        self.undirected = store.undirected
        self.targets = TargetTypes.of(config.task, store)
        self.num_types = len(store.edge_type_names)
        self.needs_remote = config.task.negatives == "global"
        ends = 1 if store.undirected or self.task.replaced_ends == "destination" else 2
        sets = ends * max(len(store.candidate_rules.sizes), 1)
        number = self.task.num_negatives
        shared = self.task.share_negatives
        drawn = number * (sets if shared else self.task.batch_size)
        self.seeds_per_step = 2 * self.task.batch_size + drawn
        negatives = [num_negatives for _, num_negatives in store.held_out.values()]
        self.nodes_per_item = 2 + max(negatives, default=0)

    def loss_bytes(self, dim: int) -> int:
        negatives = self.task.num_negatives
        if self.task.share_negatives:  # distinct ones, of the batch's nodes if it has its own
            nodes = self.sampler.max_nodes if is_grouping(self.sampler) else self.store.num_nodes
            negatives = min(negatives, nodes, self.store.num_nodes)
        pairs = min(self.task.batch_size, self.store.num_edges) * negatives
        by_product = self.task.share_negatives and has_factored_decoder(self.task)
        return 4 * pairs * (SCORE_COPIES if by_product else PAIR_COPIES * dim)

    def make_head(self, dim: int) -> nn.Module:
        return make_decoder(self.task, dim, self.num_types, self.undirected)

    def remarks(self) -> list[Remark]:
        """The choices that were made for this store, and what looks wrong with the config."""
        remarks, decoder = [], self.task.decoder
        number = self.task.num_negatives
        if self.task.share_negatives and number < FEW_SHARED:
            remarks.append(
                Remark(
                    f"all links of a batch share {number} negatives, which are few; "
                    "task.share_negatives=false draws as many for each link, and "
                    "task.num_negatives=512 is the default for shared ones",
                    is_warning=True,
                )
            )
        if not self.undirected and getattr(resolve("decoder", decoder), "symmetric", False):
            remarks.append(
                Remark(
                    f"the store is directed, but the decoder {decoder} gives both directions of a "
                    "link the same score; task.decoder=cosine, concat or bilinear tells them apart",
                    is_warning=True,
                )
            )
        rules = self.store.candidate_rules
        if rules.sizes and self.task.negative_destinations == "auto":
            text = candidate_text(rules, self.store.edge_type_names, self.undirected)
            remarks.append(Remark(f"negatives: {text}"))
        return remarks

    def chance(self) -> dict[str, float]:
        _, negatives = self.store.held_out.get("valid", (0, 0))
        return chance_of_links(negatives) if negatives else {}

    def num_examples(self, size: TrainingSize) -> int:
        if self.targets is not None:
            return self.targets.num_links(size)
        return size.num_edges // (2 if self.undirected else 1)

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[LinkBatch]:
        """Batches of links, which are shuffled anew for each epoch.

        A sampler that groups nodes decides which links are in a batch: links between the nodes of
        a group.
        """
        if self.targets is not None and isinstance(shard, TypedShard):
            positives: Positives = TypedPositives(shard, self.targets)
        else:
            positives = Positives(shard, self.undirected)
        steps: Iterator[tuple[int, np.ndarray]]
        make = self.make_batch
        if is_grouping(self.sampler):
            steps = self.sampler.groups(
                shard, stream=[*stream, 0], epochs=epochs, first_step=first_step
            )
            make = self.make_group_batch
        else:
            num_links = len(positives)

            def shuffled(epoch: int) -> np.ndarray:
                order: np.ndarray = np.arange(num_links, dtype=index_dtype(num_links))
                np.random.default_rng([*stream, 0, epoch]).shuffle(order)
                return order

            steps = shuffled_batches(
                shuffled, num_links, self.task.batch_size, epochs=epochs, first_step=first_step
            )

        def make_step(step: tuple[int, np.ndarray]) -> LinkBatch:
            number, chosen = step
            return make(shard, positives, chosen, [*stream, 1, number])

        return prefetched(make_step, steps, self.config)

    def make_batch(
        self, shard: Shard, positives: Positives, chosen: np.ndarray, stream: list[int]
    ) -> LinkBatch:
        """The batch of the chosen links. `stream` seeds negatives and sampling."""
        return self._batch(shard, positives, chosen, np.random.default_rng(stream))

    def make_group_batch(
        self, shard: Shard, positives: Positives, chosen: np.ndarray, stream: list[int]
    ) -> LinkBatch:
        """A batch of a group of nodes (int64, ascending).

        Links between these nodes, at most `batch_size` and at most half of them, are predicted; the
        others pass messages. Negatives are nodes of the group.
        """
        rng = np.random.default_rng(stream)
        places = positives.between(chosen)
        if not len(places):  # a batch has a link
            places = rng.integers(0, len(positives), 1)
            chosen = np.union1d(chosen, np.concatenate(positives.take(places)[:2]))
        number = min(self.task.batch_size, -(-len(places) // 2))
        places = np.sort(rng.choice(places, number, replace=False, shuffle=False))
        return self._batch(shard, positives, places, rng, chosen)

    def _batch(
        self,
        shard: Shard,
        positives: Positives,
        places: np.ndarray,
        rng: np.random.Generator,
        within: np.ndarray | None = None,
    ) -> LinkBatch:
        """The batch of some links. `within`: the group of nodes that it may read."""
        src, dst, types = positives.take(places)
        if self.undirected:  # negatives replace a random end
            flipped = rng.random(len(src)) < 0.5
            src, dst = np.where(flipped, dst, src), np.where(flipped, src, dst)
        turned = np.zeros(len(src), bool)
        if not self.undirected and self.task.replaced_ends == "both":
            turned = rng.random(len(src)) < 0.5
        kept, replaced = np.where(turned, dst, src), np.where(turned, src, dst)
        own, shared = self._negatives(shard, kept, replaced, turned, types, rng, within)
        nodes = [src, dst, own[1], *(group.node for group in shared)]
        seeds, position = np.unique(np.concatenate(nodes), return_inverse=True)
        src_B, dst_B, neg_Q, *shared_K = (
            torch.from_numpy(part)
            for part in np.split(position, np.cumsum([len(part) for part in nodes])[:-1])
        )
        sample: dict[str, Any] = {} if within is None else {"within": within}
        neighbourhood = self.sampler.sample(
            shard,
            torch.from_numpy(seeds),
            random_seed=int(rng.integers(1 << 31)),
            targets=Targets(src, dst) if self.task.exclude_targets else None,
            **sample,
        )
        batch = LinkBatch(
            neighbourhood,
            src_B,
            dst_B,
            None if types is None else torch.from_numpy(types.astype(np.int64)),
            torch.from_numpy(own[0]),
            neg_Q,
            torch.from_numpy(turned),
            [
                SharedSet(
                    torch.from_numpy(group.row),
                    node_K,
                    torch.from_numpy(group.linked),
                    group.of_sources,
                )
                for group, node_K in zip(shared, shared_K, strict=True)
            ],
        )
        if self.task.popularity_correction:
            _add_log_drawn(batch, positives.ends, replaced, own, shared)
        return batch

    def _negatives(
        self,
        shard: Shard,
        kept: np.ndarray,
        replaced: np.ndarray,
        turned: np.ndarray,
        types: np.ndarray | None,
        rng: np.random.Generator,
        within: np.ndarray | None,
    ) -> tuple[tuple[np.ndarray, np.ndarray], list[SharedNegatives]]:
        """Each link's own negatives, and those that links share; one of both is empty."""
        sets, number = None, self.task.num_negatives
        if shard.candidates is not None and self.task.negative_destinations == "auto":
            sets = shard.candidates.sets_for(replaced, types)
        nothing = np.zeros(0, np.int64), np.zeros(0, np.int64)
        if self.task.negatives == "in-batch":
            if self.task.share_negatives:
                batch = shard, kept, replaced, number, rng, sets
                return nothing, shared_in_batch(*batch, turned)
            return in_batch_negatives(shard, kept, replaced, number, rng, sets), []
        pool = Pool.of(shard, self.task.negatives, within)
        if self.task.share_negatives:
            return nothing, shared_negatives(pool, kept, number, rng, sets, turned)
        return own_negatives(pool, kept, number, rng, sets), []

    def loss(self, model: Model, batch: LinkBatch) -> torch.Tensor:
        """The loss that `task.loss` names (`hvdtma.tasks.link_losses`)."""
        groups = self.scores(model, batch)
        if self.task.loss == "margin":
            return margin(groups, self.task.margin)
        return LOSSES[self.task.loss](groups)

    def scores(self, model: Model, batch: LinkBatch) -> list[LinkScores]:
        """Scores of the links and of their negatives, in groups that share negatives."""
        h_SH = batch.neighbourhood.embedded_by(model.encoder)
        groups = score_batch(model.head, h_SH, batch)
        return groups if batch.log_replaced is None else correct_popularity(groups, batch)

    def num_held_out(self, part: str) -> int:
        if self.targets is not None:
            return self.targets.num_held_out(part)
        return self.store.held_out.get(part, (0, 0))[0]

    def max_scored(self, part: str) -> int:
        limit = self.config.evaluate.max_links if part == "valid" else 0
        return max_of_sample(self.config, limit)

    def held_out_bytes(self) -> int:
        negative = np.dtype(index_dtype(self.store.num_nodes)).itemsize
        link = 8 + 8 + 2 * bool(self.num_types)
        return sum(
            (self.max_scored(part) or self.num_held_out(part)) * (link + num_negatives * negative)
            for part, (_, num_negatives) in self.store.held_out.items()
        )

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> Pairs:
        if self.targets is not None:
            chosen = self.targets.rows(self.store, part, chosen)
        return read_pairs(stored(self.store), part, chosen)

    def score(self, model: Model, held_out: Pairs, embeddings: Embeddings) -> dict[str, float]:
        if held_out.neg is None:
            raise UserError(
                f"{self.store.path} has no negatives to rank held-out links against; build it with "
                "--negatives"
            )
        names = self.store.edge_type_names if self.targets is not None else ()
        return score_links(model, held_out, embeddings, names)

    def score_pairs(self, model: Model, pairs: Pairs, embeddings: Embeddings) -> np.ndarray:
        """The decoder's scores; see `hvdtma.tasks.task.ScoresPairs`."""
        return score_pairs(model, pairs, embeddings)


def _add_log_drawn(
    batch: LinkBatch,
    ends_2n: np.ndarray,
    replaced_B: np.ndarray,
    own: tuple[np.ndarray, np.ndarray],
    shared: list[SharedNegatives],
) -> None:
    """Set the logarithms by which `correct_popularity` corrects the scores of a batch.

    Args:
        replaced_B: int64 local numbers of the replaced ends.
        own, shared: the negatives, by local numbers.
    """
    turned_B, (row_Q, node_Q) = batch.turned.numpy(), own
    batch.log_replaced = log_drawn(ends_2n, replaced_B, turned_B)
    batch.log_negative = log_drawn(ends_2n, node_Q, turned_B[row_Q])
    for drawn, group in zip(shared, batch.shared, strict=True):
        draws = len(drawn.row)
        group.log_drawn = log_drawn(ends_2n, drawn.node, drawn.of_sources, draws)
        batch.log_replaced[group.row] = log_drawn(
            ends_2n, replaced_B[drawn.row], drawn.of_sources, draws
        )
