"""Scores and embeddings of a run's best round.

Legend: N nodes, H dimensions of an embedding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.api.models import load_model
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.evaluation.budget import ScoringBudget, embedding_requirement, scratch_bytes
from hvdtma.evaluation.embed import embed as embed_nodes
from hvdtma.evaluation.score import Scorer
from hvdtma.evaluation.scratch import check_scoring_scratch, check_scratch
from hvdtma.evaluation.write import write_embeddings

PARTS = ("valid", "test")


class EmbeddedNodes(NamedTuple):
    """The embedding of every node of a store.

    Attributes:
        ids: int64 or object (str) [N], the ids as they were given to `build`.
        vectors: float32 [N, H], in the order of `ids`.
    """

    ids: np.ndarray
    vectors: np.ndarray


class WrittenEmbeddings(NamedTuple):
    """A file of embeddings: its path, N, H, and the round that the model is of."""

    path: Path
    num_nodes: int
    dim: int
    round: int


@names_arguments
def evaluate(run: FilePath, part: str = "test", *, store: FilePath | None = None) -> dict[str, Any]:
    """The scores of a run's best round on all held-out links or nodes.

    Args:
        run: a run or its path; or a pretrained model, with a `store`.
        part: `valid` or `test`.
        store: another store to score on; None: the run's own.

    Returns `round`, `part`, `scored_sample` (None: everything was scored) and the metrics of the
    task by name. Raises UserError if the run has no round yet, or the store does not fit.
    """
    if part not in PARTS:
        raise UserError(f"part is '{part}'; valid: {', '.join(PARTS)}")
    best = load_model(run, store, scored=True)
    config = best.config.model_copy(
        update={"evaluate": best.config.evaluate.model_copy(update={"max_links": 0})}
    )
    check_scoring_scratch(config, best.store)
    metrics = Scorer(config, best.store)(best.model, part)
    facts = {"round": best.round, "part": part, "scored_sample": config.evaluate.sample or None}
    return facts | metrics


@overload
def embed(
    run: FilePath,
    out: None = None,
    *,
    store: FilePath | None = None,
    overwrite: bool = False,
    memory_gb: float | None = None,
) -> EmbeddedNodes: ...


@overload
def embed(
    run: FilePath,
    out: FilePath,
    *,
    store: FilePath | None = None,
    overwrite: bool = False,
    memory_gb: float | None = None,
) -> WrittenEmbeddings: ...


@names_arguments
def embed(
    run: FilePath,
    out: FilePath | None = None,
    *,
    store: FilePath | None = None,
    overwrite: bool = False,
    memory_gb: float | None = None,
) -> EmbeddedNodes | WrittenEmbeddings:
    """Embed every node with the model of a run's best round.

        ids, vectors = hvdtma.embed("runs/mine")
        hvdtma.embed("runs/mine", "embeddings.parquet")

    Args:
        run: a run or its path; or a pretrained model, with a `store`.
        out: a file to write, `.parquet` or `.zarr`, keyed by the nodes' ids, or `.npy` with the ids
            of its rows in `NAME.ids.parquet`; None: return arrays.
        store: another store whose nodes are embedded; None: the run's own.
        overwrite: replace a file that is there.
        memory_gb: memory limit of this process in GiB; None: the run's own limit. Returned arrays
            are held besides.

    Raises UserError if the run has no round yet, the store does not fit, or `out` exists.
    """
    best = load_model(run, store, scored=False)
    config = best.config
    if memory_gb is not None:
        config = config.model_copy(update={"memory_gb": memory_gb})
    budget = ScoringBudget.of(config, embedding_requirement(config, best.store))
    check_scratch(budget.folder, scratch_bytes(config, best.store, budget))
    if out is None:
        vectors_NH = embed_nodes(best.model, best.store, budget=budget)[0 : best.store.num_nodes]
        ids_N = best.store.node_ids().values.to_numpy(zero_copy_only=False)
        return EmbeddedNodes(ids_N, vectors_NH)
    path = expanded(out)
    written = write_embeddings(best.model, best.store, path, overwrite=overwrite, budget=budget)
    return WrittenEmbeddings(path, *written, best.round)
