"""What is minimised: one value per relation, and the smoothness of each factor.

A rank differentiates a relation's value with respect to its own factor, the others detached; the
gradients are then those of the joint loss, each found on one rank.
"""

from hypergraph.model.objective.gram import balanced_weight, gram, gram_loss
from hypergraph.model.objective.observed import observed_loss
from hypergraph.model.objective.predict import predict
from hypergraph.model.objective.ranking import corrupt, ranking_loss
from hypergraph.model.objective.smoothness import smoothness

__all__ = [
    "balanced_weight",
    "corrupt",
    "gram",
    "gram_loss",
    "observed_loss",
    "predict",
    "ranking_loss",
    "smoothness",
]
