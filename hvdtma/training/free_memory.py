"""The least memory that a trainer takes whatever the graph: parameters, and the loss of a batch.

A config that this machine has no memory for is refused.
"""

from __future__ import annotations

from hvdtma.aggregate.optimizer_state import STATE_VALUES
from hvdtma.comm.communicator import Communicator
from hvdtma.comm.in_process import InProcessComm
from hvdtma.core.memory import check_free_memory
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.sampling.prefetch import has_gpu
from hvdtma.tasks import make_task, model_without_memory

PARAMETER_COPIES = 5  # themselves, gradients, global ones, and two of the update


def check_trainer_memory(config: TrainConfig, store: GraphFacts, comm: Communicator) -> None:
    """Raise UserError if the trainers of this process need more memory than is free."""
    task = make_task(config, store)
    model = model_without_memory(config, store, task)
    parameters = 0 if model is None else sum(each.numel() for each in model.parameters())
    copies = 1 if has_gpu(config) else PARAMETER_COPIES + STATE_VALUES[config.optimizer.name]
    trainers = 1
    if isinstance(comm, InProcessComm) and comm.rank == 0:  # the first to take memory
        trainers = comm.size
    loss = 0 if has_gpu(config) else _loss_bytes(config, task)
    of_trainers = f" of {trainers} trainers in one process" * (trainers > 1)
    check_free_memory(
        trainers * 4 * copies * parameters + loss,
        f"{parameters:,} parameters{of_trainers} and the loss of a batch",
        "give a smaller model.hidden or model.layers, or a smaller task.batch_size or "
        "task.num_negatives",
    )


def _loss_bytes(config: TrainConfig, task: object) -> int:
    count = getattr(task, "loss_bytes", None)
    return 0 if count is None else count(config.model.hidden)
