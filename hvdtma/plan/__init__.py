"""The expected memory, disk space, time and traffic of a build and a run."""

from hvdtma.plan.averaging import AveragingPlan, Network
from hvdtma.plan.graph import PlannedGraph
from hvdtma.plan.plan import Plan, plan
from hvdtma.plan.stages import AssignmentPlan, PlannedStage

__all__ = [
    "AssignmentPlan",
    "AveragingPlan",
    "Network",
    "Plan",
    "PlannedGraph",
    "PlannedStage",
    "plan",
]
