"""Timed averaging in a plain PyTorch loop: horovodrun -np 2 python docs/own_loop.py."""

import torch

import hvdtma

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.Adam(model.parameters())
averaging = hvdtma.TimedAveraging(model, optimizer, interval_s=2, rounds=3)
while averaging.running:
    x = torch.randn(32, 8)
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    outcome = averaging.step(loss, examples=len(x))
    if outcome and averaging.comm.rank == 0:
        print(f"round {outcome.round}: steps {outcome.steps}, losses {outcome.losses}")
