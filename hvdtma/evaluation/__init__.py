"""Scores of aggregated models, and embeddings of all nodes."""
