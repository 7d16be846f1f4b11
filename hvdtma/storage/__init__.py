"""Arrays on disk: Zarr v3 with a checksum of every array, written whole or not at all."""
