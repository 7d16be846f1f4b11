"""What one trainer reads: the shard its blocks induce, batches from it, and negatives."""
