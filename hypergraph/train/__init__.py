"""Training of HyperLearn: batches, losses, exchange between ranks, checkpoints."""
