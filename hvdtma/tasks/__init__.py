"""Learning tasks: link prediction and node classification.

A task owns its batches, loss, metrics and scoring (`hvdtma.tasks.task`).
"""

from hvdtma.tasks.epochs import ENDLESS
from hvdtma.tasks.make import make_model, make_task
from hvdtma.tasks.task import Batch, Embeddings, Model, Task

__all__ = ["ENDLESS", "Batch", "Embeddings", "Model", "Task", "make_model", "make_task"]
