"""Links per second of one trainer, compared with DGL's own link-prediction pipeline.

    python benchmarks/throughput.py STORE [--batch-size 1024] [--hidden 256]

All train the same two-layer GraphSAGE with an MLP decoder on the whole training graph, with binary
cross-entropy, one uniform negative per link, and the batch's links kept out of message passing. The
peer is DGL's DataLoader over as_edge_prediction_sampler(NeighborSampler([10, 25]),
exclude="reverse_id"), as in its documentation, with DGL's SAGEConv. Ours are the samplers
`neighbour` and `labor` with the same fanouts, and `cluster` with groups of four nodes per link,
without and with the stored first hop.
Each contender runs in a process of its own, as it would alone, and all take `RUN` steps in turn, so
that other load on the machine slows all; medians over `--steps` are printed. Batches are made when
they are needed, except in the row that says "ahead".
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from one_trainer import next_step, trainer_on

from hvdtma.graph.store import GraphStore, open_store
from hvdtma.models.decoders import HadamardMLPDecoder
from hvdtma.sampling.dgl_backend import dgl

WARM_UP = 8
RUN = 8  # steps of a contender in a row: what it reads is in the caches then, as in training


def main(
    store: Path,
    batch_size: Annotated[int, typer.Option()] = 1024,
    hidden: Annotated[int, typer.Option()] = 256,
    steps: Annotated[int, typer.Option()] = 40,
) -> None:
    """Time both pipelines and print the table."""
    neighbour, labor = "sampler.name=neighbour", "sampler.name=labor"
    cluster = ["sampler.name=cluster", f"sampler.options.nodes={4 * batch_size}"]
    contenders: dict[str, list[str] | None] = {
        "DGL's pipeline": None,
        "neighbour, hops sampled": [neighbour, "first_hop=false"],
        "neighbour, first hop stored": [neighbour],
        "labor, first hop stored": [labor],
        "labor, first hop stored, ahead": [labor, "sampler.workers=1"],
        "cluster, hops sampled": [*cluster, "first_hop=false"],
        "cluster, first hop stored": cluster,
    }
    spawn = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, settings in contenders.items():
        pipes[name], other_end = spawn.Pipe()
        arguments = (other_end, store, batch_size, hidden, settings)
        spawn.Process(target=take_turns, args=arguments, daemon=True).start()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for first in range(0, WARM_UP + steps, RUN):
        for name, pipe in pipes.items():
            pipe.send(RUN)
            taken = pipe.recv()
            seconds[name] += taken if first >= WARM_UP else []
    for pipe in pipes.values():
        pipe.send(0)
    rate = {name: 1 / statistics.median(each) for name, each in seconds.items()}
    base = rate["DGL's pipeline"]
    print(
        f"\n{store.name}, batch {batch_size}, hidden {hidden}, {torch.get_num_threads()} threads\n"
    )
    print("| pipeline | links/s | ratio |\n|---|---|---|")
    for name, value in rate.items():
        print(f"| {name} | {value:,.0f} | {value / base:.2f} |")


def take_turns(
    pipe: Connection, store: Path, batch_size: int, hidden: int, settings: list[str] | None
) -> None:
    """Take as many steps as the pipe asks for, and answer with the seconds per link; 0 ends it."""
    opened = open_store(store)
    if settings is None:
        steps = peer(opened, batch_size, hidden)
    else:  # the links of each step of a trainer on the whole graph
        model = [f"model.hidden={hidden}", "model.fanouts=[10,25]"]
        task = [f"task.batch_size={batch_size}", "task.decoder=mlp", "task.loss=bce"]
        trainer = trainer_on(opened, ["sampler.workers=0", *model, *task, *settings])
        steps = iter(partial(next_step, trainer), None)
    while number := pipe.recv():
        taken = []
        for _ in range(number):
            start = time.perf_counter()
            links = next(steps)
            taken.append((time.perf_counter() - start) / links)
        pipe.send(taken)


def peer(store: GraphStore, batch_size: int, hidden: int) -> Iterator[int]:
    """Steps of DGL's pipeline with the same model; the links of each."""
    graph, edges, reverse = undirected_graph(store)
    graph.ndata["feat"] = torch.from_numpy(store.read("feat")).float()
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler([10, 25], prefetch_node_feats=["feat"]),
        exclude="reverse_id",
        reverse_eids=reverse,
        negative_sampler=dgl.dataloading.negative_sampler.Uniform(1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = dgl.dataloading.DataLoader(
            graph, edges, sampler, batch_size=batch_size, shuffle=True, num_workers=0
        )
    model = DGLModel(store.feature_dim, hidden)
    optimizer = torch.optim.Adam(model.parameters())
    while True:
        for _, positive, negative, blocks in loader:
            h = model(blocks, blocks[0].srcdata["feat"])
            loss = pair_loss(model.decoder, h, positive, torch.ones) / 2
            loss = loss + pair_loss(model.decoder, h, negative, torch.zeros) / 2
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            yield positive.num_edges()


class DGLModel(torch.nn.Module):
    """The same model of DGL's layers."""

    def __init__(self, in_dim: int, hidden: int):
        super().__init__()
        self.first = dgl.nn.SAGEConv(in_dim, hidden, "mean")
        self.second = dgl.nn.SAGEConv(hidden, hidden, "mean")
        self.between = torch.nn.Sequential(torch.nn.LayerNorm(hidden), torch.nn.PReLU())
        self.decoder = HadamardMLPDecoder(hidden)

    def forward(self, blocks: list[dgl.DGLGraph], x_nD: torch.Tensor) -> torch.Tensor:
        return self.second(blocks[1], self.between(self.first(blocks[0], x_nD)))


def undirected_graph(store: GraphStore) -> tuple[dgl.DGLGraph, torch.Tensor, torch.Tensor]:
    """The training graph for DGL, the edges to train on (one way each) and every edge's reverse."""
    csc = store.rows(0, store.num_nodes)
    src, dst = csc.indices.astype(np.int64), csc.destinations().astype(np.int64)
    place = np.argsort(src * store.num_nodes + dst)  # edges stand in order of (dst, src)
    graph = dgl.graph((torch.from_numpy(src), torch.from_numpy(dst)), num_nodes=store.num_nodes)
    return graph, torch.from_numpy(np.flatnonzero(src < dst)), torch.from_numpy(place)


def pair_loss(
    decoder: torch.nn.Module,
    h: torch.Tensor,
    pairs: dgl.DGLGraph,
    target: Callable[[int], torch.Tensor],
) -> torch.Tensor:
    """Binary cross-entropy of the pairs in a graph."""
    src, dst = pairs.edges()
    scores = decoder(h[src], h[dst])
    return torch.nn.functional.binary_cross_entropy_with_logits(scores, target(len(scores)))


if __name__ == "__main__":
    typer.run(main)
