"""One trainer's part of the graph in memory, and the neighbourhoods that are sampled from it."""
