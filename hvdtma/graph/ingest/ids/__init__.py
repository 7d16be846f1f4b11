"""From ids as people write them to node numbers, within a memory limit."""
