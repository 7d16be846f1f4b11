"""Scores pairs of nodes, and ranks held-out links against their stored negatives.

Legend: n held-out links, K negatives per link, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import read_rows
from hvdtma.models.decoders import is_factored
from hvdtma.tasks.metrics import area_under_roc, link_metrics, ranks
from hvdtma.tasks.task import Embeddings, Model

Vectors = Callable[[np.ndarray], np.ndarray]  # embeddings [..., H] of nodes [...]
VALUES_AT_ONCE = 1 << 20  # embedding values per step; they fit in the cache


def read_pairs(store: GraphStore, part: str, chosen: np.ndarray | None) -> Pairs:
    """Held-out links of a part, by number; None: all links."""
    return Pairs(
        **{
            field: read_rows(store, f"split/{part}/{field}", chosen)
            for field in ("src", "dst", "neg", "edge_type")
            if f"split/{part}/{field}" in store
        }
    )


@torch.no_grad()
def score_links(
    model: Model, pairs: Pairs, embeddings: Embeddings, type_names: Sequence[str] = ()
) -> dict[str, float]:
    """MRR, Hits@k and AUC of held-out links with negatives.

    Args:
        type_names: of the edge types whose MRR and Hits@10 are computed too, if links have several.
    """
    # Allocated in advance: small arrays from every step would fragment the memory between them.
    pair_n2 = torch.empty(len(pairs), 2)  # scores of the link and of its first negative
    rank_n = torch.empty(len(pairs), dtype=torch.float64)
    done = 0
    destinations = None
    if is_factored(model.head):  # one vector per node, instead of one per candidate of each link
        destinations = embeddings.mapped(model.head.destination)
    for group, vectors in _with_embeddings(pairs, embeddings):
        for scores in _scores(model, group, vectors, embeddings.device, destinations):
            rows = slice(done, done + len(scores))
            pair_n2[rows] = scores[:, :2].cpu()
            rank_n[rows] = ranks(scores[:, 0], scores[:, 1:]).cpu()
            done += len(scores)
    auc = area_under_roc(pair_n2[:, 0].numpy(), pair_n2[:, 1].numpy())
    return link_metrics(rank_n, auc) | _by_type(rank_n, pairs.edge_type, type_names)


def _by_type(
    rank_n: torch.Tensor, type_n: np.ndarray | None, names: Sequence[str]
) -> dict[str, float]:
    """The metrics of each edge type, such as `mrr user:buys:item`; none if there is only one."""
    kinds = np.unique(type_n).tolist() if names and type_n is not None else []
    found = {}
    for kind in kinds if len(kinds) > 1 else ():
        rank_k = rank_n[torch.from_numpy(type_n == kind)]
        found[f"mrr {names[kind]}"] = float((1 / rank_k).mean())
        found[f"hits@10 {names[kind]}"] = float((rank_k <= 10).double().mean())
    return found


@torch.no_grad()
def score_pairs(model: Model, pairs: Pairs, embeddings: Embeddings) -> np.ndarray:
    """Scores float32 [n] of pairs, the same as `score_links` ranks by."""
    alone = Pairs(pairs.src, pairs.dst, np.zeros((len(pairs), 0), np.int64), pairs.edge_type)
    score_n, done = np.empty(len(pairs), np.float32), 0
    for group, vectors in _with_embeddings(alone, embeddings):
        for scores in _scores(model, group, vectors, embeddings.device):
            score_n[done : done + len(scores)] = scores[:, 0].cpu().numpy()
            done += len(scores)
    return score_n


def _with_embeddings(pairs: Pairs, embeddings: Embeddings) -> Iterator[tuple[Pairs, Vectors]]:
    """Links in groups of at most `embeddings.max_nodes` nodes, with each group's embeddings."""
    assert pairs.neg is not None
    if embeddings.max_nodes is None:
        yield pairs, embeddings
        return

    def group(rows: slice) -> tuple[Pairs, Vectors]:
        part = pairs.take(rows)
        assert part.neg is not None
        ends = np.concatenate([part.src[:, None], part.dst[:, None], part.neg], axis=1)
        nodes, local = np.unique(ends, return_inverse=True)
        local = local.reshape(ends.shape)
        h = embeddings(nodes.astype(np.int64))
        return Pairs(local[:, 0], local[:, 1], local[:, 2:], part.edge_type), h.__getitem__

    step = max(embeddings.max_nodes // (2 + pairs.neg.shape[1]), 1)
    yield from embeddings.in_pieces(len(pairs), step, group)


def _scores(
    model: Model,
    pairs: Pairs,
    vectors: Vectors,
    device: torch.device,
    destinations: Vectors | None = None,
) -> Iterator[torch.Tensor]:
    """Scores [rows, 1 + K] of some links per step; column 0 is the true destination.

    Args:
        vectors: embeddings.
        destinations: the decoder's vectors of destinations, if they are known already.
    """
    assert pairs.neg is not None
    values = model.encoder.out_dim * (pairs.neg.shape[1] + 1)
    rows = max(1, VALUES_AT_ONCE // values)
    for start in range(0, len(pairs), rows):
        part = pairs.take(slice(start, start + rows))
        assert part.neg is not None
        candidates = np.concatenate([part.dst[:, None], part.neg], axis=1)
        u = torch.from_numpy(vectors(part.src)).to(device)
        types = None
        if part.edge_type is not None:
            types = torch.from_numpy(part.edge_type.astype(np.int64)).to(device)
        if destinations is not None:
            v = torch.from_numpy(destinations(candidates)).to(device)
            source = model.head.source(u, types)  # type: ignore[operator]
            yield torch.bmm(v, source[:, :, None])[:, :, 0].float()
            continue
        v = torch.from_numpy(vectors(candidates)).to(device)
        if types is not None:
            types = types[:, None].expand(candidates.shape)
        yield model.head(u[:, None, :].expand_as(v), v, types).float()
