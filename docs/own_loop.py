"""Timed averaging in a plain PyTorch loop: horovodrun -np 2 python docs/own_loop.py.

Two lines are new: `averaging = ...` and `with averaging:`. Each trainer may have another number of
batches. At the end, all trainers have the same parameters.
"""

import torch

import hvdtma

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
averaging = hvdtma.TimedAveraging(model, optimizer, interval_s=1)
batches = torch.randn(3000 + 1000 * averaging.comm.rank, 32, 8)  # the trainer's own data
with averaging:
    for x in batches:
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(
    f"trainer {averaging.comm.rank}: {averaging.steps_done} steps, {averaging.rounds_done} rounds, "
    f"weights {[round(float(weight), 3) for weight in model.weight[0]]}"
)
