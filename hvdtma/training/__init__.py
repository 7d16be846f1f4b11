"""Training: the timed loop, start and resume, elastic membership, checkpoints, the evaluator.

Read `hvdtma.training.loop` first. `hvdtma.training.membership` says where a killed trainer is
noticed.
"""
