"""What is learnt: a model, batches from a shard, and the loss of a batch."""

from hvdtma.tasks.make import make_model, make_task
from hvdtma.tasks.task import ENDLESS, Batch, Model, Task

__all__ = ["ENDLESS", "Batch", "Model", "Task", "make_model", "make_task"]
