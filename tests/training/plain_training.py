"""The loop that one trainer's run is compared with: plain PyTorch, without averaging."""

import torch

from hvdtma.graph.store import open_store
from hvdtma.tasks import make_model, make_task


def plain_model(config, shard):
    """The model of a config, trained on a shard by the config's number of steps in all rounds."""
    store = open_store(config.store)
    task = make_task(config, store)
    model = make_model(config, store, task)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.optimizer.lr)
    torch.manual_seed(config.seed * 1_000_003)
    batches = task.batches(shard, stream=[config.seed, 0, 0])
    for _ in range(config.rounds * config.interval_steps):
        loss = task.loss(model, next(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
        optimizer.step()
    return model
