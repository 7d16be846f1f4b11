"""Laplacians of the graphs inside modalities.

Legend: N nodes, E edges.
"""

from __future__ import annotations

import torch

from hvdtma.core.errors import UserError
from hypergraph.indices import check_indices
from hypergraph.sparse import SparseMatrix, inverse_root


def normalised_laplacian(
    edges_E2: torch.Tensor,
    weight_E: torch.Tensor | None = None,
    *,
    num_nodes: int,
    dtype: torch.dtype = torch.float32,
) -> SparseMatrix:
    """L = I - D^-1/2 W D^-1/2 of an undirected graph, symmetric [N, N], eigenvalues in [0, 2].

    The row of a node without edges is zero: the node is a component, and every component has one
    eigenvalue 0. With a 1 on the diagonal instead, the smoothness term would pull rows without
    neighbours towards zero.

    Args:
        edges_E2: integers, each pair of nodes once, in either direction. The weights of repeated
            pairs add up; edges from a node to itself are left out.
        weight_E: not negative; None: all 1.
        num_nodes: N.
        dtype: dtype of the values.

    Raises UserError for nodes out of range and for weights that are negative, NaN or infinite.
    """
    if edges_E2.dim() != 2 or edges_E2.shape[1] != 2:
        raise UserError(f"edges have shape {list(edges_E2.shape)}; they must be [E, 2]")
    check_indices("the graph's edges", edges_E2.flatten(), num_nodes)
    weight_E = _checked(weight_E, edges_E2)
    proper = edges_E2[:, 0] != edges_E2[:, 1]
    (u, v), weight = edges_E2[proper].long().T, weight_E[proper]
    row, col, weight = torch.cat([u, v]), torch.cat([v, u]), torch.cat([weight, weight])
    degree_N = weight.new_zeros(num_nodes).index_add(0, row, weight)
    root_N = inverse_root(degree_N)
    linked = degree_N.nonzero()[:, 0]
    return SparseMatrix.of(
        torch.cat([row, linked]),
        torch.cat([col, linked]),
        torch.cat([-root_N[row] * weight * root_N[col], torch.ones_like(root_N[linked])]).to(dtype),
        (num_nodes, num_nodes),
        symmetric=True,
    )


def rescaled(laplacian: SparseMatrix) -> SparseMatrix:
    """L - I, with eigenvalues in [-1, 1], the operator of Chebyshev polynomials.

    Args:
        laplacian: normalised, [N, N], with eigenvalues of at most 2.
    """
    coo = laplacian.csr.to_sparse_coo()
    (row, col), value = coo.indices(), coo.values()
    node = torch.arange(len(coo), device=value.device)
    return SparseMatrix.of(
        torch.cat([row, node]),
        torch.cat([col, node]),
        torch.cat([value, value.new_full((len(node),), -1)]),
        laplacian.shape,
        symmetric=True,
    )


def _checked(weight_E: torch.Tensor | None, edges_E2: torch.Tensor) -> torch.Tensor:
    """The weights in float64, for precise sums of many small weights."""
    if weight_E is None:
        return torch.ones(len(edges_E2), dtype=torch.float64, device=edges_E2.device)
    if weight_E.shape != edges_E2.shape[:1]:
        shape = list(weight_E.shape)
        raise UserError(f"weights have shape {shape} for {len(edges_E2)} edges; give one per edge")
    wrong = ~((weight_E >= 0) & weight_E.isfinite())
    if wrong.any():
        edge = int(wrong.nonzero()[0])
        raise UserError(
            f"edge {edge} has the weight {weight_E[edge].item()}; "
            "weights must be finite and not negative"
        )
    return weight_E.double()
