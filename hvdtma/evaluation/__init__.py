"""Scoring aggregated models, and embeddings for every node."""
