"""The losses: one per relation, and the smoothness of each factor.

A rank differentiates a relation's loss with respect to its own factors; factors of other ranks are
detached. Together, the ranks compute the gradient of the joint loss.
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
