"""The data that one trainer reads: its shard in memory, sampled neighbourhoods, negative links.

A batch's own links are removed from its messages in `hvdtma.sampling.neighbourhood`.
"""
