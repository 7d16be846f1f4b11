"""Layers for plain hypergraphs: an `Incidence` and two convolutions."""

from hypergraph.nn.hgnn import HGNNConv
from hypergraph.nn.incidence import Incidence
from hypergraph.nn.unisage import UniSAGEConv

__all__ = ["HGNNConv", "Incidence", "UniSAGEConv"]
