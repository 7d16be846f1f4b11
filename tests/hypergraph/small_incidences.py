"""Small hypergraphs to test on, and their matrices written out.

Legend: N items, M hyperedges, D features.
"""

import torch
from hypothesis import strategies as st

from hypergraph.nn import Incidence


@st.composite
def hypergraphs(draw, most_items=6, most_hyperedges=6):
    """(hyperedges, number of items): empty, singleton and repeated hyperedges, lonely items."""
    num_items = draw(st.integers(1, most_items))
    hyperedge = st.lists(st.integers(0, num_items - 1), max_size=4)
    return draw(st.lists(hyperedge, max_size=most_hyperedges)), num_items


def dense(hyperedges, num_items):
    """float64 [N, M] of zeros and ones."""
    matrix = torch.zeros(num_items, len(hyperedges), dtype=torch.float64)
    for number, hyperedge in enumerate(hyperedges):
        for item in hyperedge:
            matrix[item, number] = 1
    return matrix


def normal(*shape, seed=0):
    """float64, standard normal."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def inverse(x, power=1.0):
    """x^-power, 0 for 0."""
    return torch.where(x > 0, torch.where(x > 0, x, 1) ** -power, 0.0)


AWKWARD = ([[], [0], [0], [1, 2, 3], [3, 2, 1], [1, 1, 4]], 7)  # items 5 and 6 stand in none


def awkward():
    """One empty, two singleton and two equal hyperedges, an item twice in one, two lonely items."""
    return Incidence.from_hyperedges(*AWKWARD)
