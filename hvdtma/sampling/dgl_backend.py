"""Message passing with DGL on a CPU.

DGL is no longer maintained, so no other part of training depends on it. Its wheels for Python 3.11
do not support GPUs; a block on a GPU passes messages with PyTorch operations instead.

Legend: E edges, S seeds, n sources of a block, D width, A attention heads.
"""

from __future__ import annotations

from typing import Any

import torch

from hvdtma.core.dgl_import import dgl


def bipartite_graph(indptr: torch.Tensor, source: torch.Tensor, num_src: int) -> Any:
    """The DGL graph of a block, from its in-edges: indptr [S+1], positions of sources [E]."""
    indptr = indptr.to(source.dtype)
    edge_ids = torch.arange(len(source), dtype=source.dtype)  # without, DGL 1.1 fails in some sums
    return dgl.create_block(
        ("csc", (indptr, source, edge_ids)), num_src_nodes=num_src, num_dst_nodes=len(indptr) - 1
    )


def mean(graph: Any, h_nD: torch.Tensor) -> torch.Tensor:
    """Mean over the sources of each seed [S, D]; 0 without any."""
    return dgl.ops.copy_u_mean(graph, h_nD)


def weighted_sum(graph: Any, h_nAD: torch.Tensor, weight_EA: torch.Tensor) -> torch.Tensor:
    """Weighted sum over the sources of each seed [S, A, D]."""
    return dgl.ops.u_mul_e_sum(graph, h_nAD, weight_EA[..., None])


def add_ends(graph: Any, left_nA: torch.Tensor, right_SA: torch.Tensor) -> torch.Tensor:
    """The source's and the seed's value of each edge, added: [E, A]."""
    return dgl.ops.u_add_v(graph, left_nA, right_SA)


def edge_softmax(graph: Any, logits_EA: torch.Tensor) -> torch.Tensor:
    """Softmax over the edges of each seed [E, A]."""
    return dgl.ops.edge_softmax(graph, logits_EA)
