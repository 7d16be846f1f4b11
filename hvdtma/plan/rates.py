"""The rates of this machine, measured by short calls of the code that does the work.

They are measured on a synthetic graph with the degree, features and classes of the planned one,
in some seconds. Caches are warmer there than on a large graph, so predicted times are optimistic.

Legend: E edges, D features.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hvdtma.comm import SingleProcess
from hvdtma.core.compute_threads import restored_threads
from hvdtma.core.console import quietly
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.embed import embed
from hvdtma.evaluation.score import Scorer
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.sort.batches import EDGES_PER_BATCH, EdgeBatch
from hvdtma.graph.sort.edge_sorter import EdgeSorter
from hvdtma.graph.sources import SyntheticGraph
from hvdtma.graph.store import GraphStore
from hvdtma.tasks import make_model, make_task
from hvdtma.training.set_up import make_trainer, set_up_device

PROBE_EDGES = 200_000
WRITTEN_BYTES = 64 << 20
STEPS = 4
SCORED_ITEMS = 200


@dataclass(frozen=True)
class Rates:
    """The work that this machine does per second.

    Attributes:
        sorted_edges: edges scattered and sorted in memory; an undirected edge counts twice.
        first_hop_values: edges x features summed.
        written_bytes: written to disk.
        examples: links or nodes trained on, by one trainer.
        embedded_nodes: through all layers.
        scored_pairs: a held-out link, or one of its negatives.
        note: what differs from the config.
    """

    sorted_edges: float
    first_hop_values: float
    written_bytes: float
    examples: float
    embedded_nodes: float
    scored_pairs: float
    note: str = ""


@dataclass(frozen=True)
class _TypedGraph(SyntheticGraph):
    """A synthetic graph whose edges take turns at `num_types` types; 0: no types."""

    num_types: int = 0

    @cached_property
    def edge_type_names(self) -> list[str]:  # type: ignore[override]
        return [str(number) for number in range(self.num_types)]

    def edge_batch(self, piece: int) -> EdgeBatch:
        edges = super().edge_batch(piece)
        if not self.num_types:
            return edges
        return edges._replace(types=(np.arange(len(edges.src)) % self.num_types).astype(np.int16))


def measure_rates(config: TrainConfig, sizes: GraphSizes, folder: Path) -> Rates:
    """All rates. Files are written to `folder`, which is on the planned disk, and removed."""
    with (
        quietly(),
        restored_threads(),
        tempfile.TemporaryDirectory(dir=folder, prefix=".plan-") as scratch,
    ):
        store = build(Path(scratch) / "probe.zarr", *_probe_graph(config, sizes))
        config, note = _runnable(config)
        changes = {"store": store.path, "trainers": None, "memory_gb": None}
        config = config.model_copy(update=changes)
        embedded, scored = _scoring_rates(config, store)
        return Rates(
            sorted_edges=_sorting_rate(Path(scratch)),
            first_hop_values=_first_hop_rate(store),
            written_bytes=_writing_rate(Path(scratch)),
            examples=_training_rate(config, store),
            embedded_nodes=embedded,
            scored_pairs=scored,
            note=note,
        )


def _runnable(config: TrainConfig) -> tuple[TrainConfig, str]:
    """The config as far as the probe and this machine can run it, and a note on the difference.

    The probe has classes of its own, as many as the planned graph has classes or targets.
    """
    config = config.model_copy(
        update={
            "task": config.task.model_copy(update={"class_weights": "none"}),
            "evaluate": config.evaluate.model_copy(update={"metric": None}),
        }
    )
    needs_gpu = config.device == "cuda" or config.precision != "float32"
    if not needs_gpu or torch.cuda.is_available():
        return config, ""
    changes = {"device": "cpu", "precision": "float32"}
    return config.model_copy(update=changes), "on the CPU in float32: this machine has no GPU"


def _probe_graph(config: TrainConfig, sizes: GraphSizes) -> tuple[SyntheticGraph, BuildOptions]:
    """A graph like the planned one, with about PROBE_EDGES stored edges."""
    degree = max(sizes.mean_degree, 1.0)
    nodes = max(int(PROBE_EDGES / degree), 1000)
    edges = max(int(nodes * degree) // (1 + sizes.undirected), 4 * SCORED_ITEMS)
    source = _TypedGraph(
        nodes,
        min(edges, nodes * (nodes - 1) // 4),
        sizes.feature_dim,
        communities=min(max(len(sizes.label_names), 1), nodes // 2),
        directed=not sizes.undirected,
        num_types=len(sizes.edge_type_names),
    )
    negatives = max((each for _, each in sizes.held_out.values()), default=0) or 100
    options = BuildOptions(
        hold_out="nodes" if make_task(config, sizes).needs_labels else "links",
        valid=SCORED_ITEMS,
        test=SCORED_ITEMS,
        negatives=min(negatives, nodes // 4),
        feature_dtype=str(sizes.feature_dtype),
    )
    return source, options


def _sorting_rate(folder: Path) -> float:
    """Edges/s. Sorts twice: the first call may compile."""
    source = SyntheticGraph(EDGES_PER_BATCH // 10, EDGES_PER_BATCH, 1, 10)
    batch = source.edge_batch(0)
    seconds = 0.0
    for _ in range(2):
        sorter = EdgeSorter(source.nodes, source.edges, folder, 1 << 40)
        start = time.perf_counter()
        sorter.scatter([batch])
        for _ in sorter.rows():
            pass
        seconds = time.perf_counter() - start
    return source.edges / seconds


def _first_hop_rate(store: GraphStore) -> float:
    """Edges x features per second, in the second call."""
    csc, feat_ND = store.rows(0, store.num_nodes), store.read("feat")
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        first_hop(csc, feat_ND)
        seconds = time.perf_counter() - start
    return csc.num_edges * feat_ND.shape[1] / seconds


def _writing_rate(folder: Path) -> float:
    """Bytes/s, until they are on the disk."""
    piece = np.random.default_rng(0).bytes(1 << 22)
    start = time.perf_counter()
    with (folder / "bytes").open("wb") as file:
        for _ in range(WRITTEN_BYTES // len(piece)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return WRITTEN_BYTES / (time.perf_counter() - start)


def _training_rate(config: TrainConfig, store: GraphStore) -> float:
    """Examples/s of one trainer, with sampling."""
    trainer = make_trainer(config, store, SingleProcess(), set_up_device(config, SingleProcess()))
    examples, start = 0, 0.0
    for number in range(STEPS + 1):
        step = trainer.take_step()
        if step is None or number == 0:  # the first step starts threads, and may compile
            start = time.perf_counter()
            continue
        float(step[0].detach())
        examples += step[1]
    return examples / (time.perf_counter() - start)


def _scoring_rates(config: TrainConfig, store: GraphStore) -> tuple[float, float]:
    """Nodes/s of embedding, and pairs/s of scoring besides."""
    evaluate = config.evaluate.model_copy(update={"sample": 0, "max_links": 0})
    config = config.model_copy(update={"evaluate": evaluate})
    model = make_model(config, store, make_task(config, store))
    scorer = Scorer(config, store)
    scorer(model, "valid")  # may compile
    start = time.perf_counter()
    embed(model, store)
    embed_s = time.perf_counter() - start
    start = time.perf_counter()
    scorer(model, "test")
    score_s = max(time.perf_counter() - start - embed_s, 1e-3)
    links, negatives = store.held_out.get("test", (SCORED_ITEMS, 0))
    return store.num_nodes / embed_s, links * (1 + negatives) / score_s
