"""The graph store: its sources, its builder, its format and its reader.

sources/   named sources, one file each
ingest/    a source from the user's files
builder/   from a source to a store
sort/      external sort of edges and rows
ids/       from the user's ids to node numbers
"""
