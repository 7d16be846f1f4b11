"""What is learnt: a model, batches from a shard, and the loss of a batch."""

from hvdtma.tasks.task import Batch, Task, make_task

__all__ = ["Batch", "Task", "make_task"]
