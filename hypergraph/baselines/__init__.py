"""Baselines that HyperLearn is compared with: popularity, plain CP, and a GCN."""

from hypergraph.baselines.cp import cp_config, without_context
from hypergraph.baselines.gcn import JointGCN
from hypergraph.baselines.popularity import popularity

__all__ = ["JointGCN", "cp_config", "popularity", "without_context"]
