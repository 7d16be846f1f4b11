"""Graphs with several types of nodes and edges: their schema, numbering and source."""
