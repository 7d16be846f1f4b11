"""What a build and a run will take, before they begin: memory, disk, time, communication."""

from hvdtma.plan.aggregation import Aggregating, Network
from hvdtma.plan.graph import PlannedGraph
from hvdtma.plan.plan import Plan, Stage, plan

__all__ = ["Aggregating", "Network", "Plan", "PlannedGraph", "Stage", "plan"]
