"""Held-out links ranked against their stored negatives.

Legend: n held-out links, K negatives per link, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import read_rows
from hvdtma.tasks.metrics import area_under_roc, link_metrics, ranks
from hvdtma.tasks.task import Embeddings, Model

Vectors = Callable[[np.ndarray], np.ndarray]  # embeddings [..., H] of nodes [...]
VALUES_AT_ONCE = 1 << 20  # embedding values of scored pairs; small enough for the cache


def read_pairs(store: GraphStore, part: str, chosen: np.ndarray | None) -> Pairs:
    """Held-out links of a part by number; None: all."""
    return Pairs(
        **{
            field: read_rows(store, f"split/{part}/{field}", chosen)
            for field in ("src", "dst", "neg", "edge_type")
            if f"split/{part}/{field}" in store
        }
    )


@torch.no_grad()
def score_links(model: Model, pairs: Pairs, embeddings: Embeddings) -> dict[str, float]:
    """MRR, Hits@k and AUC of held-out links with negatives."""
    # Made beforehand: small arrays kept from every piece hold on to the pages between them.
    ends_n2 = torch.empty(len(pairs), 2)  # the link's score, and its first negative's
    rank_n = torch.empty(len(pairs), dtype=torch.float64)
    done = 0
    for group, vectors in _groups(pairs, embeddings):
        for scores in _scores(model, group, vectors, embeddings.device):
            here = slice(done, done + len(scores))
            ends_n2[here] = scores[:, :2].cpu()
            rank_n[here] = ranks(scores[:, 0], scores[:, 1:]).cpu()
            done += len(scores)
    auc = area_under_roc(ends_n2[:, 0].numpy(), ends_n2[:, 1].numpy())
    return link_metrics(rank_n, auc)


def _groups(pairs: Pairs, embeddings: Embeddings) -> Iterator[tuple[Pairs, Vectors]]:
    """Links in groups of at most `embeddings.max_nodes` nodes, with the group's embeddings."""
    assert pairs.neg is not None
    if embeddings.max_nodes is None:
        yield pairs, embeddings
        return

    def group(here: slice) -> tuple[Pairs, Vectors]:
        few = pairs.take(here)
        assert few.neg is not None
        ends = np.concatenate([few.src[:, None], few.dst[:, None], few.neg], axis=1)
        nodes, local = np.unique(ends, return_inverse=True)
        local = local.reshape(ends.shape)
        h = embeddings(nodes.astype(np.int64))
        return Pairs(local[:, 0], local[:, 1], local[:, 2:], few.edge_type), h.__getitem__

    step = max(embeddings.max_nodes // (2 + pairs.neg.shape[1]), 1)
    yield from embeddings.in_pieces(len(pairs), step, group)


def _scores(
    model: Model, pairs: Pairs, vectors: Vectors, device: torch.device
) -> Iterator[torch.Tensor]:
    """Scores [rows, 1 + K] of a few links at a time: the true destination first."""
    assert pairs.neg is not None
    values = model.encoder.out_dim * (pairs.neg.shape[1] + 1)
    rows = max(1, VALUES_AT_ONCE // values)
    for start in range(0, len(pairs), rows):
        few = pairs.take(slice(start, start + rows))
        assert few.neg is not None
        candidates = np.concatenate([few.dst[:, None], few.neg], axis=1)
        u = torch.from_numpy(vectors(few.src)).to(device)
        v = torch.from_numpy(vectors(candidates)).to(device)
        types = None
        if few.edge_type is not None:
            types = torch.from_numpy(few.edge_type.astype(np.int64)).to(device)
            types = types[:, None].expand(candidates.shape)
        yield model.head(u[:, None, :].expand_as(v), v, types).float()
