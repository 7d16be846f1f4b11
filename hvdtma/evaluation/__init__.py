"""Scores of a trained model, embeddings of nodes, and predictions."""
