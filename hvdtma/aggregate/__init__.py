"""From the trainers' updates to the next global parameters."""

from hvdtma.aggregate.outer import Average, Nesterov
from hvdtma.aggregate.round import Aggregation, NonFiniteLoss, Stop
from hvdtma.aggregate.timed import TimedAveraging

__all__ = ["Aggregation", "Average", "Nesterov", "NonFiniteLoss", "Stop", "TimedAveraging"]
