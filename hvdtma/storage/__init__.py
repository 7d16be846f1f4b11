"""Arrays on disk: atomically written Zarr v3 groups with checksums, node ids, scratch files."""
