"""External sort of edges, rows and strings within a memory limit."""
