"""What HyperLearn is held against, trained and scored in the same run."""

from hypergraph.baselines.cp import cp_config, without_context
from hypergraph.baselines.gcn import JointGCN
from hypergraph.baselines.popularity import popularity

__all__ = ["JointGCN", "cp_config", "popularity", "without_context"]
