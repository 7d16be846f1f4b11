"""The external sort of edges and rows: graphs larger than memory pass through it."""
