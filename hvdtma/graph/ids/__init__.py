"""From the user's ids to node numbers: a bitmap for dense integers, DuckDB for all others."""
