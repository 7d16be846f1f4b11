"""The contract of an aggregator, which combines the trainers' updates into new parameters.

The equation of timed averaging, elementwise. An element that no trainer trained (0/0) keeps its
value:

    theta' = Outer(theta, (sum_k w_k P_k^T d_k) / (sum_k w_k P_k^T 1))

theta are the global parameters at the start of a round; d_k is the update of trainer k, w_k its
weight, and P_k selects the parameters that it trained. `contribute` returns a trainer's summands of
the numerator and of the denominator. Both are summed over trainers, by an all-reduce
(`TimedAveraging`) or from a checkpoint (`aggregate_updates`). `combine` returns theta'. Example:

    class HeadByOne(Average):
        \"\"\"Only the update of trainer 0 counts for parameters called `head`.\"\"\"

        def contribute(self, update_P, weight, state):
            weight_P = torch.full_like(update_P, weight)
            for name, position in state.layout.items():
                if name.startswith("head") and state.rank:
                    weight_P[position] = 0
            return weight_P * update_P, weight_P

Legend: P values in the flat vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from hvdtma.comm.communicator import Communicator
from hvdtma.core.contract import Call, check_methods, not_a
from hvdtma.core.errors import UserError

CALLS = {
    "begin_round": Call(("model", "state")),
    "contribute": Call(("update", "weight", "state")),
    "combine": Call(("received", "base", "state")),
    "after_round": Call(("model", "state")),
    "state_dict": Call(),
    "load_state_dict": Call(("state",)),
}


@dataclass(frozen=True)
class RoundState:
    """The facts of a round that an aggregator may use.

    Attributes:
        round: number of the round, from 1.
        rank: rank of this trainer.
        size: number of trainers.
        layout: range of each parameter and buffer of the model in the flat vector, by name.
        num_parameters: number of values that are parameters; the values after them are buffers.
        comm: for collective calls in `begin_round` and `after_round`; None while a checkpoint is
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
    """The sums over trainers of the results of `contribute`.

    Attributes:
        numerator_P: float [P].
        denominator: float [P], or [1] if it is the same for all elements.
    """

    numerator_P: torch.Tensor
    denominator: torch.Tensor

    @property
    def mean(self) -> torch.Tensor:
        """The weighted mean of the updates [P]; 0 where no trainer contributed."""
        trained = self.denominator > 0
        return torch.where(trained, self.numerator_P / torch.where(trained, self.denominator, 1), 0)


class Aggregator(Protocol):
    """Combines the trainers' updates after each round.

    The class is called with the keys `outer`, `outer_lr` and `outer_momentum` of
    `AggregateConfig` that its signature names, and the user's `aggregate.options`.

    Its methods get updates and weights; only `begin_round` and `after_round` get the model. All
    results must be a pure function of the arguments and of `state_dict`. The state must be the same
    on every trainer, so that a run can resume with another number of trainers.

    Attributes:
        exchange: "sum": contributions are summed over all trainers, and all trainers have the same
            parameters after each round.
        exact_alone: whether a single trainer keeps its parameters exactly as it trained them; then
            `contribute` and `combine` are not called. False if an aggregator does not have it.
    """

    exchange: ClassVar[str]

    @property
    def exact_alone(self) -> bool: ...

    def begin_round(self, model: nn.Module, state: RoundState) -> None:
        """Called on every trainer before a round. May restrict the parameters that are trained."""
        ...

    def contribute(
        self, update_P: torch.Tensor, weight: float, state: RoundState
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A trainer's summands: numerator float [P], denominator float [P] or [1].

        Args:
            update_P: the trainer's parameters and buffers minus the global ones.
            weight: the trainer's share of the weights of all trainers. It is 0 if the trainer took
                no step; then the update is 0 too.
        """
        ...

    def combine(self, received: Summed, base_P: torch.Tensor, state: RoundState) -> torch.Tensor:
        """The new parameters and buffers [P], from the global ones `base_P`."""
        ...

    def after_round(self, model: nn.Module, state: RoundState) -> None:
        """Called on every trainer once the model has its new parameters. May train further.

        The model's parameters after this call are the global ones. They must be the same on every
        trainer.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """The state between rounds: tensors, numbers and strings by name."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a `state_dict`."""
        ...


def check_aggregator(name: str, target: Any) -> None:
    """Raises UserError if a class, or an object, is not an aggregator."""
    check_methods("aggregator", name, target, CALLS)
    if getattr(target, "exchange", None) != "sum":
        raise not_a("aggregator", name, "its class attribute exchange must be 'sum'")


def check_aggregator_object(aggregator: Any) -> None:
    """Raises UserError if an object is not an aggregator."""
    if isinstance(aggregator, type):
        name = aggregator.__name__
        raise UserError(f"aggregator is the class {name}; give an object of it: {name}()")
    check_aggregator(f"a {type(aggregator).__name__}", aggregator)


def contribution_of(
    aggregator: Aggregator, update_P: torch.Tensor, weight: float, state: RoundState
) -> tuple[torch.Tensor, torch.Tensor]:
    """The result of `contribute`. Raises UserError for tensors of other shapes than [P]."""
    found: Any = aggregator.contribute(update_P, weight, state)
    num_values = len(update_P)
    if not (isinstance(found, tuple) and len(found) == 2 and all(map(torch.is_tensor, found))):
        raise _wrong_result(aggregator, "contribute", f"{found!r}", "two tensors")
    numerator, denominator = found
    if numerator.shape != (num_values,) or denominator.shape not in ((num_values,), (1,)):
        shapes = f"tensors of shapes {list(numerator.shape)} and {list(denominator.shape)}"
        valid = f"[{num_values}], and [{num_values}] or [1]"
        raise _wrong_result(aggregator, "contribute", shapes, valid)
    return numerator, denominator


def combined(
    aggregator: Aggregator, received: Summed, base_P: torch.Tensor, state: RoundState
) -> torch.Tensor:
    """The result of `combine`. Raises UserError for anything but a tensor [P]."""
    found: Any = aggregator.combine(received, base_P, state)
    if not torch.is_tensor(found):
        raise _wrong_result(aggregator, "combine", f"{found!r}", "a tensor")
    if found.shape != base_P.shape:
        shape = f"a tensor of shape {list(found.shape)}"
        raise _wrong_result(aggregator, "combine", shape, f"{list(base_P.shape)}")
    return found


def _wrong_result(aggregator: Aggregator, method: str, found: str, valid: str) -> UserError:
    return UserError(
        f"`{method}` of the aggregator {type(aggregator).__name__} returned {found}; valid: {valid}"
    )


def shares(weights_M: torch.Tensor) -> torch.Tensor:
    """The weights divided by their sum; all 0 if no trainer has a weight.

    A power of two near the largest weight is taken out first, which loses no digit: the sum of
    weights near 1e308 would be infinite.
    """
    _, exponent = math.frexp(float(weights_M.max()))
    scaled_M = weights_M * 2.0 ** -max(-1000, min(exponent, 1000))
    total = float(scaled_M.sum())
    return scaled_M / total if total else torch.zeros_like(weights_M)


def aggregate_updates(
    aggregator: Aggregator,
    base_P: torch.Tensor,
    contributions: Iterable[tuple[torch.Tensor, float]],
    state: RoundState,
) -> torch.Tensor:
    """The new parameters from all trainers' updates and weights, in order of rank.

    If all weights are 0, returns `base_P` and leaves the aggregator's state as it is.
    """
    updates, weights = zip(*contributions, strict=True)
    shares_M = shares(torch.tensor(weights, dtype=torch.float64))
    if not shares_M.any():
        return base_P
    summands = [
        contribution_of(aggregator, update_P, float(share), replace(state, rank=rank))
        for rank, (update_P, share) in enumerate(zip(updates, shares_M, strict=True))
    ]
    numerators, denominators = zip(*summands, strict=True)
    summed = Summed(torch.stack(numerators).sum(0), torch.stack(denominators).sum(0))
    return combined(aggregator, summed, base_P, state)
