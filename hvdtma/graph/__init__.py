"""The store: one graph on disk as one Zarr group; how it is built, read and checked."""
