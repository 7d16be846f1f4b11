"""Learning tasks: link prediction, and classification or regression of nodes.

A task owns its batches, loss, metrics and scoring (`hvdtma.tasks.task`).
"""

from hvdtma.tasks.epochs import ENDLESS
from hvdtma.tasks.make import make_model, make_task, model_without_memory
from hvdtma.tasks.task import (
    Batch,
    Embeddings,
    Model,
    PredictsNodes,
    ScoresPairs,
    Task,
    best_metric,
    metric_facts,
    predicts_nodes,
    scores_pairs,
)

__all__ = [
    "ENDLESS",
    "Batch",
    "Embeddings",
    "Model",
    "PredictsNodes",
    "ScoresPairs",
    "Task",
    "best_metric",
    "make_model",
    "make_task",
    "metric_facts",
    "model_without_memory",
    "predicts_nodes",
    "scores_pairs",
]
