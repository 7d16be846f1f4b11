"""The score of a model on a part of a store's split.

Legend: N nodes, n held-out links, K negatives per link, H hidden.
"""

from __future__ import annotations

import numpy as np
import torch

from hvdtma.config import TrainConfig
from hvdtma.errors import UserError
from hvdtma.evaluate.embed import embed
from hvdtma.evaluate.metrics import area_under_roc, class_metrics, link_metrics, ranks
from hvdtma.graph.raw import Pairs
from hvdtma.graph.store import GraphStore
from hvdtma.tasks import Model

VALUES_AT_ONCE = 1 << 20  # embedding values of scored pairs; small enough for the cache
SAMPLE_SEED = 0  # which validation links are scored when not all are


class Scorer:
    """Scores models on one store; reads the held-out links once.

    Raises UserError if the store has no such split.
    """

    def __init__(self, config: TrainConfig, store: GraphStore, device: torch.device | None = None):
        self.config, self.store = config, store
        self.device = device or torch.device("cpu")
        self.parts = {part: self._part(part) for part in ("valid", "test")}

    def _part(self, part: str) -> Pairs | np.ndarray:
        held_out: Pairs | np.ndarray | None
        if self.config.task.name == "nodes":
            held_out = self.store.labelled_nodes(part)
        else:
            held_out = self.store.links(part)
        if held_out is None or not len(held_out):
            raise UserError(
                f"{self.store.path} has no {part} {self.config.task.name} to score on; "
                "build it with a split"
            )
        most = self.config.evaluate.max_links
        if isinstance(held_out, Pairs) and part == "valid" and 0 < most < len(held_out):
            rng = np.random.default_rng(SAMPLE_SEED)
            chosen = np.sort(rng.choice(len(held_out), most, replace=False))
            held_out = held_out.take(chosen)
        return held_out

    def __call__(self, model: Model, part: str) -> dict[str, float]:
        """Metrics of `valid` or `test`."""
        embedded = embed(model.encoder, self.store, device=self.device)
        held_out = self.parts[part]
        if isinstance(held_out, Pairs):
            return self._links(model, embedded, held_out)
        return self._classes(model, embedded, held_out)

    @torch.no_grad()
    def _classes(self, model: Model, h_NH: np.ndarray, nodes: np.ndarray) -> dict[str, float]:
        logits = model.head(torch.from_numpy(h_NH[nodes]).to(self.device))
        label = self.store.read("label")[nodes]
        return class_metrics(logits.argmax(1).cpu().numpy(), label)

    @torch.no_grad()
    def _links(self, model: Model, h_NH: np.ndarray, pairs: Pairs) -> dict[str, float]:
        h = torch.from_numpy(h_NH)
        positive, first_negative, rank = [], [], []
        if pairs.neg is None:
            raise UserError(f"{self.store.path} has no negatives to rank against")
        rows = max(1, VALUES_AT_ONCE // (h.shape[1] * (pairs.neg.shape[1] + 1)))
        for start in range(0, len(pairs), rows):
            scores = self._score_rows(model, h, pairs, slice(start, start + rows))
            positive.append(scores[:, 0].cpu())
            first_negative.append(scores[:, 1].cpu())
            rank.append(ranks(scores[:, 0], scores[:, 1:]).cpu())
        auc = area_under_roc(torch.cat(positive).numpy(), torch.cat(first_negative).numpy())
        return link_metrics(torch.cat(rank), auc)

    def _score_rows(self, model: Model, h: torch.Tensor, pairs: Pairs, rows: slice) -> torch.Tensor:
        """Scores [rows, 1 + K]: the true destination first."""
        assert pairs.neg is not None
        candidates = np.concatenate([pairs.dst[rows, None], pairs.neg[rows]], axis=1)
        u = h[torch.from_numpy(pairs.src[rows].astype(np.int64))].to(self.device)
        v = h[torch.from_numpy(candidates.astype(np.int64))].to(self.device)
        types = None
        if pairs.edge_type is not None:
            types = torch.from_numpy(pairs.edge_type[rows].astype(np.int64)).to(self.device)
            types = types[:, None].expand(candidates.shape)
        return model.head(u[:, None, :].expand_as(v), v, types).float()
