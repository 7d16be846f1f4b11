"""The contract of a sampler, which turns the seeds of a batch into their neighbourhood.

    class FirstNeighbours:
        \"\"\"The first `fanout` neighbours of every node.\"\"\"

        def __init__(self, fanouts, fanout=5):
            self.layers, self.fanout = len(fanouts), fanout

        def sample(self, shard, seeds, *, random_seed, targets=None):
            nodes, blocks = seeds, []
            for _ in range(self.layers):
                src, dst = my_edges(shard.csc, nodes, self.fanout)   # nodes, positions in `nodes`
                if targets is not None:                              # no message along a target
                    kept = ~targets.contains(src, nodes[dst])
                    src, dst = src[kept], dst[kept]
                block, nodes = block_between(src, dst, nodes)
                blocks.insert(0, block)
            return neighbourhood_of(shard, blocks, nodes, targets)

Legend: S seeds, n input nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeGuard

import numpy as np
import torch

from hvdtma.core.bounds import check_whole
from hvdtma.core.contract import Call, check_methods
from hvdtma.core.options import call_with_options
from hvdtma.core.train_config import SamplerConfig
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets
from hvdtma.sampling.shard import Shard


class Sampler(Protocol):
    """Samples the neighbourhoods that an encoder reads.

    The class is called with the fanouts of the sampled layers (list of int, input layer first; -1
    takes all neighbours) and the user's `sampler.options`. The class attribute `typed = True` says
    that it samples typed shards (`TypedShard`) too, and returns a `TypedNeighbourhood` then.
    """

    def sample(
        self,
        shard: Shard,
        seeds_S: torch.Tensor,
        *,
        random_seed: int,
        targets: Targets | None = None,
    ) -> Neighbourhood:
        """The neighbourhood of distinct seeds; a pure function of its arguments.

        Args:
            shard: the trainer's part of the graph.
            seeds_S: int64 local node numbers; they are the first S input nodes of the result.
            random_seed: below 2^31.
            targets: links that no message may use, in either direction.
        """
        ...


class GroupingSampler(Sampler, Protocol):
    """A sampler that also chooses the nodes of each batch (as Cluster-GCN does).

    The task trains on links between the nodes of a group, or on labelled nodes of it. It passes the
    group to `sample` as `within`: int64, ascending, the only nodes that the neighbourhood has.

    Attributes:
        max_nodes: the most nodes that a group has.
    """

    max_nodes: int

    def groups(
        self, shard: Shard, *, stream: list[int], epochs: int, first_step: int = 0
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of each step and its nodes, int64 ascending local numbers.

        A pure function of the arguments: group k is the same for every `first_step`. Every epoch
        has the same number of steps.

        Args:
            stream: non-negative integers that seed the choice.
        """
        ...


def is_grouping(sampler: Any) -> TypeGuard[GroupingSampler]:
    """Whether a sampler chooses the nodes of each batch."""
    return callable(getattr(sampler, "groups", None))


def check_sampler(name: str, target: Any) -> None:
    """Raises UserError if a class is not a sampler."""
    calls = {"sample": Call(("shard", "seeds"), ("random_seed",), ("targets",))}
    if is_grouping(target):
        calls = {
            "sample": Call(("shard", "seeds"), ("random_seed", "within"), ("targets",)),
            "groups": Call(("shard",), ("stream", "epochs"), ("first_step",)),
        }
    check_methods("sampler", name, target, calls)


def make_sampler(config: SamplerConfig, fanouts: list[int]) -> Sampler:
    """Make the config's sampler.

    Raises UserError for an option that it does not take, and if it has `groups` but no `max_nodes`.
    """
    sampler = call_with_options("sampler", config.name, config.options, fanouts)
    if is_grouping(sampler):
        max_nodes = getattr(sampler, "max_nodes", None)
        check_whole(f"max_nodes of the sampler '{config.name}'", max_nodes, 1)
    return sampler
