"""Timed averaging, and aggregators, which combine the trainers' updates into new parameters."""

from hvdtma.aggregate.aggregator import Aggregator, RoundState, Summed
from hvdtma.aggregate.average import Average
from hvdtma.aggregate.round import Aggregation, NonFiniteLoss, Stop
from hvdtma.aggregate.timed import TimedAveraging

__all__ = [
    "Aggregation",
    "Aggregator",
    "Average",
    "NonFiniteLoss",
    "RoundState",
    "Stop",
    "Summed",
    "TimedAveraging",
]
