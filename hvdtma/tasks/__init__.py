"""Learning tasks: a model, batches from a shard, the loss of a batch, and scores."""

from hvdtma.tasks.epochs import ENDLESS
from hvdtma.tasks.make import make_model, make_task
from hvdtma.tasks.task import Batch, Embeddings, Model, Task

__all__ = ["ENDLESS", "Batch", "Embeddings", "Model", "Task", "make_model", "make_task"]
