"""A real Slurm cluster of several nodes on one machine, for the tests and to try Slurm."""

from cluster.cgroups import has_cgroups
from cluster.cluster import Cluster, missing_programs

__all__ = ["Cluster", "has_cgroups", "missing_programs"]
