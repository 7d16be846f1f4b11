"""What people would use instead of hvdtma, on a case: DGL's and PyTorch Geometric's own loaders.

The recipe is the TMA paper's: two SAGE layers of width 256 with LayerNorm and PReLU between them,
batches of 1,024 with 10 and 25 sampled neighbours, Adam at 1e-3, gradients clipped at norm 1. Links
are scored by an MLP on the elementwise product against one uniform negative each, with binary
cross-entropy; labels of nodes by a linear layer, with cross-entropy. A contender is a pair: an
endless iterator that takes a step and returns its links or nodes, and a function that scores a
part.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

LINKS, HIDDEN, BATCH, FANOUTS = 2000, 256, 1024, [10, 25]
Contender = tuple[Iterator[int], Callable[[str], float]]


class Case:
    """A case as tensors; see `time_to_score.py`."""

    def __init__(self, folder: Path):
        arrays = np.load(folder / "case.npz")
        self.arrays = {name: torch.from_numpy(arrays[name]).long() for name in arrays.files}
        self.x = torch.from_numpy(np.load(folder / "feat.npy")).float()
        pairs = self.arrays["edges" if self.has_labels else "train"]
        self.ends = torch.cat([pairs, pairs.flip(1)]).T.contiguous()

    @property
    def has_labels(self) -> bool:
        """Whether nodes have labels to learn; links are learnt otherwise."""
        return "label" in self.arrays

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 without labels."""
        return int(self.arrays["label"].max()) + 1 if self.has_labels else 0

    @torch.no_grad()
    def mrr(self, h_NH: torch.Tensor, head: nn.Module, part: str) -> float:
        """MRR of the first links of a part; equal scores share their ranks."""
        pairs, negatives = self.arrays[part][:LINKS], self.arrays[f"{part}_neg"][:LINKS]
        found = []
        for start in range(0, len(pairs), 128):
            u, v = pairs[start : start + 128].T
            right = head(h_NH[u] * h_NH[v])
            wrong = head(h_NH[u][:, None] * h_NH[negatives[start : start + 128]])[:, :, 0]
            found.append(1 / (1 + (wrong > right).sum(1) + 0.5 * (wrong == right).sum(1)))
        return float(torch.cat(found).mean())

    @torch.no_grad()
    def accuracy(self, h_NH: torch.Tensor, head: nn.Module, part: str) -> float:
        """The share of a part's nodes whose class is the likeliest."""
        nodes = self.arrays[part]
        right = head(h_NH[nodes]).argmax(1) == self.arrays["label"][nodes]
        return float(right.float().mean())


class PeerModel(nn.Module):
    """The recipe's model, with a library's own convolutions; it scores links without classes."""

    def __init__(self, first: nn.Module, second: nn.Module, num_classes: int = 0):
        super().__init__()
        self.first, self.second = first, second
        self.between = nn.Sequential(nn.LayerNorm(HIDDEN), nn.PReLU())
        if num_classes:
            self.head: nn.Module = nn.Linear(HIDDEN, num_classes)
        else:
            layers = nn.Linear(HIDDEN, HIDDEN), nn.PReLU(), nn.Linear(HIDDEN, 1)
            self.head = nn.Sequential(*layers)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3)

    def step_on_links(self, right: torch.Tensor, wrong: torch.Tensor) -> None:
        """One step on the products of both ends of links and of negatives."""
        score = self.head(torch.cat([right, wrong]))[:, 0]
        label = torch.cat([score.new_ones(len(right)), score.new_zeros(len(wrong))])
        self._step(nn.functional.binary_cross_entropy_with_logits(score, label))

    def step_on_nodes(self, h: torch.Tensor, label: torch.Tensor) -> None:
        """One step on embeddings of labelled nodes."""
        self._step(nn.functional.cross_entropy(self.head(h), label))

    def _step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()


def dgl_peer(case: Case) -> Contender:
    """DGL's DataLoader and SAGEConv; the links of a batch are kept out of its messages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dgl

    links = case.ends.shape[1] // 2
    graph = dgl.graph(tuple(case.ends), num_nodes=len(case.x))
    first, second = (dgl.nn.SAGEConv(dim, HIDDEN, "mean") for dim in (case.x.shape[1], HIDDEN))
    model = PeerModel(first, second, case.num_classes)
    sampler = dgl.dataloading.NeighborSampler(FANOUTS)
    items = case.arrays["train"] if case.has_labels else torch.arange(links)
    if not case.has_labels:
        sampler = dgl.dataloading.as_edge_prediction_sampler(
            sampler,
            exclude="reverse_id",
            reverse_eids=torch.cat([torch.arange(links, 2 * links), torch.arange(links)]),
            negative_sampler=dgl.dataloading.negative_sampler.Uniform(1),
        )
    loader = dgl.dataloading.DataLoader(graph, items, sampler, batch_size=BATCH, shuffle=True)

    def embed(blocks: list[Any], x: torch.Tensor) -> torch.Tensor:
        return model.second(blocks[1], model.between(model.first(blocks[0], x)))

    def steps() -> Iterator[int]:
        while True:
            for inputs, *outputs, blocks in loader:
                h = embed(blocks, case.x[inputs])
                if case.has_labels:
                    model.step_on_nodes(h, case.arrays["label"][outputs[0]])
                    yield len(outputs[0])
                else:
                    products = (h[u] * h[v] for u, v in (pairs.edges() for pairs in outputs))
                    model.step_on_links(*products)
                    yield outputs[0].num_edges()

    def score(part: str) -> float:
        with torch.no_grad():
            h = embed([graph, graph], case.x)
        return (case.accuracy if case.has_labels else case.mrr)(h, model.head, part)

    return steps(), score


def has_pyg_sampler() -> bool:
    """Whether PyTorch Geometric can sample neighbours."""
    return any(importlib.util.find_spec(name) for name in ("pyg_lib", "torch_sparse"))


def pyg_peer(case: Case) -> Contender:
    """PyTorch Geometric's loaders and SAGEConv; the links of a batch stay in its messages."""
    from torch_geometric.data import Data
    from torch_geometric.loader import LinkNeighborLoader, NeighborLoader
    from torch_geometric.nn import SAGEConv

    data = Data(x=case.x, edge_index=case.ends)
    first, second = (SAGEConv(dim, HIDDEN) for dim in (case.x.shape[1], HIDDEN))
    model = PeerModel(first, second, case.num_classes)
    options = {"batch_size": BATCH, "shuffle": True}
    if case.has_labels:
        data.y = case.arrays["label"]
        loader = NeighborLoader(data, FANOUTS[::-1], case.arrays["train"], **options)
    else:
        loader = LinkNeighborLoader(
            data,
            FANOUTS[::-1],
            edge_label_index=case.arrays["train"].T.contiguous(),
            neg_sampling="binary",
            **options,
        )

    def embed(x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return model.second(model.between(model.first(x, edges)), edges)

    def steps() -> Iterator[int]:
        while True:
            for batch in loader:
                h = embed(batch.x, batch.edge_index)
                if case.has_labels:
                    model.step_on_nodes(h[: batch.batch_size], batch.y[: batch.batch_size])
                    yield batch.batch_size
                else:
                    u, v = batch.edge_label_index
                    product, is_link = h[u] * h[v], batch.edge_label > 0
                    model.step_on_links(product[is_link], product[~is_link])
                    yield int(is_link.sum())

    def score(part: str) -> float:
        with torch.no_grad():
            h = embed(case.x, case.ends)
        return (case.accuracy if case.has_labels else case.mrr)(h, model.head, part)

    return steps(), score


PEERS: dict[str, Callable[[Case], Contender]] = {"dgl": dgl_peer, "pyg": pyg_peer}
