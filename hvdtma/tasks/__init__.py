"""What is learnt: a model, batches from a shard, and the loss of a batch."""

from hvdtma.tasks.epochs import ENDLESS
from hvdtma.tasks.make import make_model, make_task
from hvdtma.tasks.task import Batch, Model, Task

__all__ = ["ENDLESS", "Batch", "Model", "Task", "make_model", "make_task"]
