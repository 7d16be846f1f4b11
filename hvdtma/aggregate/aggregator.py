"""The contract of an aggregator: from the trainers' updates to the next parameters.

The equation of this package, elementwise; an element that nobody trained, 0/0, stays as it is:

    theta' = Outer(theta, (sum_k w_k P_k^T d_k) / (sum_k w_k P_k^T 1))

theta are the global parameters at the start of a round, d_k is the update of trainer k, w_k its
weight and P_k the part of the parameters that it trained. A trainer's `contribute` gives its
summand of the numerator and of the denominator; both are summed over trainers, by an all-reduce
(`TimedAveraging`) or from a checkpoint (`aggregate_updates`), and `combine` does the rest:

    class LastLayerByOne(Average):
        \"\"\"Only trainer 0 trains what is called `head`.\"\"\"

        def contribute(self, update_P, weight, state):
            weight_P = torch.full_like(update_P, weight)
            for name, place in state.layout.items():
                if name.startswith("head") and state.rank:
                    weight_P[place] = 0
            return weight_P * update_P, weight_P

Legend: P values in the flat vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from hvdtma.comm.communicator import Communicator
from hvdtma.core.errors import UserError


@dataclass(frozen=True)
class RoundState:
    """A round, as a trainer's aggregator sees it.

    Attributes:
        round: 1 for the first.
        rank, size: of the trainer, among all trainers of the round.
        layout: where each parameter, then each buffer of the model stands in the flat vector.
        num_parameters: values of the vector that are parameters; the rest are buffers.
        comm: for collective calls in `begin_round` and `after_round`; None where a checkpoint is
            aggregated.
    """

    round: int
    rank: int
    size: int
    layout: Mapping[str, slice] = field(default_factory=dict)
    num_parameters: int = 0
    comm: Communicator | None = None


@dataclass(frozen=True)
class Summed:
    """The sums over trainers of what `contribute` gave.

    Attributes:
        numerator_P: float [P].
        denominator: float [P], or [1] if all elements have the same.
    """

    numerator_P: torch.Tensor
    denominator: torch.Tensor

    @property
    def mean(self) -> torch.Tensor:
        """The weighted mean of the updates; 0 where nobody contributed."""
        trained = self.denominator > 0
        return torch.where(trained, self.numerator_P / torch.where(trained, self.denominator, 1), 0)


class Aggregator(Protocol):
    """Combines updates.

    The class is called with the keys `outer`, `outer_lr` and `outer_momentum` of
    `AggregateConfig` that its signature names, and the user's `aggregate.options`.

    It sees updates and weights; only `begin_round` and `after_round` see the model. All of it is
    a pure function of its arguments and of what `state_dict` holds, and the same on every trainer
    except for `rank`; so runs can go on with another number of trainers.

    Attributes:
        exchange: "sum": contributions are summed over all trainers, and all have the same
            parameters after each round.
        exact_alone: whether one trainer by itself is left as it trained, without rounding.
    """

    exchange: ClassVar[str]

    @property
    def exact_alone(self) -> bool: ...

    def begin_round(self, model: nn.Module, state: RoundState) -> None:
        """Called on every trainer before the steps of a round; may restrict what is trained."""
        ...

    def contribute(
        self, update_P: torch.Tensor, weight: float, state: RoundState
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A trainer's summands: numerator float [P], denominator float [P] or [1].

        Args:
            update_P: the trainer's parameters and buffers minus the global ones.
            weight: its share of the trainers' weights; 0 if it did nothing, and then the update
                is 0 too.
        """
        ...

    def combine(self, received: Summed, base_P: torch.Tensor, state: RoundState) -> torch.Tensor:
        """The next parameters and buffers [P], from the global ones `base_P`."""
        ...

    def after_round(self, model: nn.Module, state: RoundState) -> None:
        """Called on every trainer once the model has its next parameters; may take more steps.

        What it changes becomes the global parameters: it must be the same on every trainer.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers between rounds: tensors, numbers and strings by name."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take on a `state_dict`."""
        ...


def check_aggregator(name: str, target: Any) -> None:
    """Raises UserError if a class is no aggregator."""
    methods = ("begin_round", "contribute", "combine", "after_round", "state_dict")
    missing = [method for method in methods if not callable(getattr(target, method, None))]
    if missing:
        raise UserError(f"{name} is no aggregator: it has no `{missing[0]}` (docs/extending.md)")
    if getattr(target, "exchange", None) != "sum":
        raise UserError(f"{name} is no aggregator: its class attribute exchange must be 'sum'")


def shares(weights_M: torch.Tensor) -> torch.Tensor:
    """Weights that sum to 1, or all 0 if nobody trained."""
    total = float(weights_M.sum())
    return weights_M / total if total else torch.zeros_like(weights_M)


def aggregate_updates(
    aggregator: Aggregator,
    base_P: torch.Tensor,
    contributions: Iterable[tuple[torch.Tensor, float]],
    state: RoundState,
) -> torch.Tensor:
    """The next parameters, from every trainer's update and weight in order of rank.

    Without any weight, `base_P`, and the aggregator's state stays as it is.
    """
    updates, weights = zip(*contributions, strict=True)
    shares_M = shares(torch.tensor(weights, dtype=torch.float64))
    if not shares_M.any():
        return base_P
    summands = [
        aggregator.contribute(update_P, float(share), replace(state, rank=rank))
        for rank, (update_P, share) in enumerate(zip(updates, shares_M, strict=True))
    ]
    numerators, denominators = zip(*summands, strict=True)
    summed = Summed(torch.stack(numerators).sum(0), torch.stack(denominators).sum(0))
    return aggregator.combine(summed, base_P, state)
