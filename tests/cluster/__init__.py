"""A real Slurm cluster of several nodes on one machine, for the tests and to try Slurm."""

from cluster.cluster import Cluster, missing_programs

__all__ = ["Cluster", "missing_programs"]
