"""Graph neural networks on massive graphs by timed model aggregation (arXiv 2305.09887)."""

__version__ = "0.1.0"
