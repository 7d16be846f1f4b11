"""From the trainers' updates to the next global parameters."""

from hvdtma.aggregate.outer import Average, Nesterov
from hvdtma.aggregate.timed import Aggregation, NonFiniteLoss, TimedAveraging

__all__ = ["Aggregation", "Average", "Nesterov", "NonFiniteLoss", "TimedAveraging"]
