"""From the user's ids to node numbers, within a memory limit."""
