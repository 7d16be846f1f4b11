"""Rates of this machine, measured by short calls of the very code that does the work.

On a synthetic graph with the planned number of neighbours, features and classes, small enough to
take a few seconds; caches are warmer there than in a large graph, so times are hopeful.

Legend: E edges, D features.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numba
import numpy as np
import torch

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
from hvdtma.tasks import make_task
from hvdtma.training.set_up import make_trainer, set_up_device

SORTED_EDGES = EDGES_PER_BATCH
PROBE_EDGES = 200_000
FILE_BYTES = 64 << 20
STEPS = 4
SCORED_LINKS = 200


@dataclass(frozen=True)
class Rates:
    """What this machine does in a second.

    Attributes:
        sorted_edges: of edges scattered and sorted in memory; an undirected one counts twice.
        first_hop_values: edges x features added up.
        written_bytes, read_bytes: of a file, to the disk and from it.
        positives: links (or nodes) trained on by one trainer.
        trained_on: what they were trained on, where it is not what the config asks for.
        embedded_nodes: through all layers.
        scored_pairs: a link with each of its negatives is one.
    """

    sorted_edges: float
    first_hop_values: float
    written_bytes: float
    read_bytes: float
    positives: float
    embedded_nodes: float
    scored_pairs: float
    trained_on: str = ""


@dataclass(frozen=True)
class _TypedGraph(SyntheticGraph):
    """A synthetic graph whose edges take turns at `edge_types` types."""

    edge_types: int = 1

    @cached_property
    def edge_type_names(self) -> list[str]:  # type: ignore[override]
        return [str(number) for number in range(self.edge_types)]

    def edge_batch(self, piece: int) -> EdgeBatch:
        src, dst, _ = super().edge_batch(piece)
        return src, dst, np.arange(len(src), dtype=np.int16) % np.int16(self.edge_types)


class _Alone:
    rank = local_rank = 0
    size = local_size = 1


def measure_rates(config: TrainConfig, sizes: GraphSizes, folder: Path) -> Rates:
    """All rates; files are written to `folder`, the disk that is planned for, and removed."""
    with (
        quietly(),
        _threads_kept(),
        tempfile.TemporaryDirectory(dir=folder, prefix=".plan-") as scratch,
    ):
        here = Path(scratch)
        written, read = file_rates(here)
        store = build(here / "probe.zarr", *_probe_graph(config, sizes))
        like, instead = _as_can_be(config)
        like = like.model_copy(update={"store": store.path, "trainers": None, "memory_gb": None})
        embedded, scored = _scoring_rates(like, store)
        return Rates(
            sorted_edges=sorting_rate(here),
            first_hop_values=_first_hop_rate(store),
            written_bytes=written,
            read_bytes=read,
            positives=_step_rate(like, store),
            embedded_nodes=embedded,
            scored_pairs=scored,
            trained_on=instead,
        )


def _as_can_be(config: TrainConfig) -> tuple[TrainConfig, str]:
    """The config as it can be tried here, and what is done instead of what it asks for."""
    asks_for_gpu = config.device == "cuda" or config.precision != "float32"
    if not asks_for_gpu or torch.cuda.is_available():
        return config, ""
    update = {"device": "cpu", "precision": "float32"}
    return config.model_copy(update=update), "this machine's CPU in float32: it has no GPU"


def _probe_graph(config: TrainConfig, sizes: GraphSizes) -> tuple[SyntheticGraph, BuildOptions]:
    """A graph like the planned one, of about PROBE_EDGES stored edges."""
    degree = max(sizes.mean_degree, 1.0)
    nodes = max(int(PROBE_EDGES / degree), 1000)
    edges = max(int(nodes * degree) // (1 + sizes.undirected), 4 * SCORED_LINKS)
    edges = min(edges, nodes * (nodes - 1) // 4)
    communities = min(max(len(sizes.label_names), 1), nodes // 2)
    types = len(sizes.edge_type_names)
    kind = partial(_TypedGraph, edge_types=types) if types else SyntheticGraph
    source = kind(nodes, edges, sizes.feature_dim, communities, directed=not sizes.undirected)
    negatives = max((each for _, each in sizes.held_out.values()), default=100) or 100
    hold_out = "nodes" if make_task(config, sizes).needs_labels else "links"
    options = BuildOptions(
        hold_out=hold_out,
        valid=SCORED_LINKS,
        test=SCORED_LINKS,
        negatives=min(negatives, nodes // 4),
        feature_dtype=str(sizes.feature_dtype),
    )
    return source, options


def sorting_rate(folder: Path) -> float:
    """Edges/s of scattering and sorting; the first run is not counted, it compiles."""
    source = SyntheticGraph(SORTED_EDGES // 10, SORTED_EDGES, 1, 10)
    src, dst, _ = source.edge_batch(0)
    seconds = 0.0
    for edges in (slice(1000), slice(None)):
        sorter = EdgeSorter(source.nodes, len(src[edges]), folder, 1 << 40)
        start = time.perf_counter()
        sorter.scatter([partial(_piece, src[edges], dst[edges])])
        for _ in sorter.rows():
            pass
        seconds = time.perf_counter() - start
    return len(src) / seconds


def _piece(src: np.ndarray, dst: np.ndarray) -> EdgeBatch:
    return src, dst, None


def _first_hop_rate(store: GraphStore) -> float:
    csc, feat = store.rows(0, store.num_nodes), store.read("feat")
    first_hop(csc, feat[:, :1])
    start = time.perf_counter()
    first_hop(csc, feat)
    return csc.num_edges * feat.shape[1] / (time.perf_counter() - start)


def file_rates(folder: Path) -> tuple[float, float]:
    """Bytes/s of writing down to the disk, and of reading what the system was told to forget."""
    path, piece = folder / "bytes", np.random.default_rng(0).bytes(1 << 22)
    start = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(FILE_BYTES // len(piece)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    written_s = time.perf_counter() - start
    with path.open("rb") as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        while file.read(len(piece)):
            pass
        read_s = time.perf_counter() - start
    path.unlink()
    return FILE_BYTES / written_s, FILE_BYTES / read_s


def _step_rate(config: TrainConfig, store: GraphStore) -> float:
    """Positives/s of one trainer by itself, sampling and all."""
    device = set_up_device(config, _Alone())  # type: ignore[arg-type]
    trainer = make_trainer(config, store, _Alone(), device)  # type: ignore[arg-type]
    positives, start = 0, 0.0
    for number in range(STEPS + 1):
        step = trainer.take_step()
        if step is None or number == 0:  # the first one starts threads and compiles
            start = time.perf_counter()
            continue
        float(step[0].detach())
        positives += step[1]
    return positives / (time.perf_counter() - start)


def _scoring_rates(config: TrainConfig, store: GraphStore) -> tuple[float, float]:
    """Nodes/s of embedding all, and pairs/s of scoring beside it."""
    evaluate = config.evaluate.model_copy(update={"sample": 0, "max_links": 0})
    config = config.model_copy(update={"evaluate": evaluate})
    trainer = make_trainer(config, store, _Alone(), torch.device("cpu"))  # type: ignore[arg-type]
    scorer = Scorer(config, store)
    scorer(trainer.model, "valid")
    start = time.perf_counter()
    embed(trainer.model.encoder, store)
    embed_s = time.perf_counter() - start
    start = time.perf_counter()
    scorer(trainer.model, "test")
    scoring_s = max(time.perf_counter() - start - embed_s, 1e-3)
    links, negatives = store.held_out.get("test", (SCORED_LINKS, 0))
    return store.num_nodes / embed_s, links * (1 + negatives) / scoring_s


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Leave the numbers of threads as they were: a probe takes those of a trainer."""
    threads, compiled = torch.get_num_threads(), numba.get_num_threads()
    try:
        yield
    finally:
        numba.set_num_threads(compiled)
        torch.set_num_threads(threads)
