"""One rank's part of HyperLearn: its modalities, its batches, and the factors of other ranks.

Legend: N items, R width of the factors, B relations that a modality is in.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch

from hvdtma.comm.communicator import Communicator
from hypergraph.config import HyperLearnConfig
from hypergraph.data import MultimodalHypergraph
from hypergraph.factors import Factors
from hypergraph.history import TrainingHistory
from hypergraph.placement import Placement
from hypergraph.train.batches import HyperedgeBatch
from hypergraph.train.device_group import DeviceGroup, ModalityNet
from hypergraph.train.exchange import Exchange, cpu_s
from hypergraph.train.factor_view import FactorView
from hypergraph.train.losses import make_batches

State = dict[str, torch.Tensor]
Parts = dict[str, dict[str, State]]
"""The state of training: kind -> modality or relation -> tensors by name."""
ModalityFactors = tuple[np.ndarray, np.ndarray]
"""Rows [N, R] and biases [N, B] of a modality."""


@dataclass
class RankTrainer:
    """Trains the modalities that are placed on this rank.

    Attributes:
        compute_s: CPU seconds in iterations, including packing for other ranks, without the
            communicator's calls. Of this thread; of the process, including the communicator's
            threads, if PyTorch has several threads.
        exchange_wall_s: wall-clock seconds in exchanges, including waiting for other ranks.
        iterations: iterations of this rank.
        remote_factors: modality -> view, as other ranks sent it last (stale exchange).
        best: modality -> state at the best score.
        history: of the models that this one started from.
        newcomers: modalities, of any rank, that those models were not trained on.
    """

    data: MultimodalHypergraph
    config: HyperLearnConfig
    comm: Communicator
    placement: Placement
    compute_s: float = 0.0
    exchange_wall_s: float = 0.0
    iterations: int = 0
    remote_factors: dict[str, FactorView] = field(default_factory=dict)
    best: dict[str, State] = field(default_factory=dict)
    history: TrainingHistory = field(default_factory=TrainingHistory)
    newcomers: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        own = self.placement.of_rank(self.comm.rank)
        self.groups = [
            DeviceGroup(self.data, names, self.config, torch.device(slot.device))
            for slot, names in own.items()
        ]
        self.exchange = Exchange(self.comm, self.placement, self.data, self.config.model.dim)
        here = {name for names in own.values() for name in names}
        self.batches = make_batches(self.data, self.config, here)

    def iterate(self) -> dict[str, float]:
        """Take one step on this rank's modalities; returns the losses by name.

        Collective with an exact exchange, and while only new modalities are trained.
        """
        before, in_communicator = cpu_s(), self.exchange.communicator_cpu_s
        trained = self.joining or set(self.data.modalities)
        batches = [of.next() for of in self.batches if trained & set(of.modalities)]
        own: dict[str, FactorView] = {}
        for group in self.groups:
            own |= group.views_to_train(trained, self.iterations)
        of_batches = self._views_of_batches(own, batches)
        found: dict[str, torch.Tensor] = {}
        for group in self.groups:
            losses = group.loss(own, of_batches, batches)
            group.step(losses, self._rate)
            found |= {name: loss.detach() for name, loss in losses.items()}
        # read only now, so that no device waits before all have started
        values = {name: float(loss) for name, loss in found.items()}
        self.iterations += 1
        in_communicator = self.exchange.communicator_cpu_s - in_communicator
        self.compute_s += cpu_s() - before - in_communicator
        return values

    def _views_of_batches(
        self, own: dict[str, FactorView], batches: Sequence[HyperedgeBatch]
    ) -> dict[str, dict[str, FactorView]]:
        """Relation -> modality -> view of the batch's rows: exchanged, or received before."""
        if self.config.stale and not self.joining:
            views = own | self.remote_factors
            return {
                batch.relation: {name: views[name].take(rows) for name, rows in batch.rows.items()}
                for batch in batches
            }
        start = time.monotonic()
        exchanged = self.exchange.of_batches(own, batches)
        self.exchange_wall_s += time.monotonic() - start
        return exchanged

    @property
    def joining(self) -> set[str]:
        """The new modalities, while only they are trained; else empty."""
        return self.newcomers if self.iterations < self.config.join.alone else set()

    @property
    def _rate(self) -> float:
        """Factor on the learning rate: Adam's first steps are large, and spoil trained factors."""
        join = self.config.join
        done = self.iterations - join.alone
        if not self.newcomers or not 0 <= done < join.warm_up:
            return 1.0
        return (done + 1) / join.warm_up

    def sync_factors(self) -> None:
        """Receive all factors of the other ranks, for the stale exchange. Collective."""
        start = time.monotonic()
        with torch.no_grad():
            self.remote_factors = self.exchange.of_all(self._views())
        self.exchange_wall_s += time.monotonic() - start

    def request_stop(self) -> None:
        """Request that all ranks stop after the next exchange. May be called by a signal."""
        self.exchange.stop_requested = True

    def clear_stop(self) -> None:
        """Forget requests to stop, before the next fit."""
        self.exchange.stop_requested = self.exchange.stopping = False

    def factors(self) -> Factors:
        """The factors of all ranks, on every rank. Collective."""
        return self.merged(self.comm.all_gather_object(self.own_factors()))

    @torch.no_grad()
    def own_factors(self) -> dict[str, ModalityFactors]:
        """Modality -> factors, of this rank."""
        return {
            name: (view.rows_SR.cpu().clone().numpy(), view.bias_SB.cpu().clone().numpy())
            for name, view in self._views().items()
        }

    def merged(self, parts: Sequence[dict[str, ModalityFactors]]) -> Factors:
        """The factors of all ranks in one object."""
        every = {name: pair for part in parts for name, pair in part.items()}
        column = self.data.relation_names
        return Factors(
            {name: every[name][0] for name in self.data.modalities},
            {
                relation.name: {
                    name: every[name][1][:, column[name].index(relation.name)]
                    for name in relation.modalities
                }
                for relation in self.data.relations.values()
            },
        )

    def snapshot(self) -> None:
        """Keep the present state as the best one."""
        self.best = {name: deepcopy(net.state_dict()) for name, net in self._nets().items()}

    def restore(self) -> None:
        """Go back to the best state."""
        self.load(self.best)

    def states(self) -> dict[str, State]:
        """Modality -> state, of all ranks, on every rank. Collective."""
        own = self._states()
        every = {
            name: state for part in self.comm.all_gather_object(own) for name, state in part.items()
        }
        return {name: every[name] for name in self.data.modalities}

    def load(
        self,
        states: Mapping[str, State],
        relations_of: Mapping[str, Sequence[str]] | None = None,
        reset_rows: Collection[str] = (),
    ) -> None:
        """Load states by modality; a modality without one stays as it is.

        Args:
            relations_of: modality -> the relations of its biases in the state; None: as here.
            reset_rows: modalities whose rows are not loaded.

        Raises UserError for a state of another shape, and for an unknown modality in `reset_rows`.
        """
        for name in reset_rows:
            self.data.modality(name)
        for group in self.groups:
            group.load(states, relations_of or self.data.relation_names, reset_rows)

    def init_newcomers(self, relations: Collection[str]) -> None:
        """Let the rows of new modalities start at one in relations that existed without them.

        Predictions of these relations stay the same. Does nothing once this model was trained.
        """
        if self.iterations:
            return
        for name, net in self._nets().items():
            if name in self.newcomers and set(relations) & set(net.relations):
                net.init_at_one()

    def add_history(self, history: TrainingHistory, reset_rows: Collection[str] = ()) -> None:
        """Add the hyperedges that the loaded states were trained on.

        Until this model is trained itself, modalities that are not in the history are new.

        Args:
            reset_rows: modalities whose rows were not loaded.
        """
        self.history = self.history.followed_by(history)
        if self.history.trained_on and not self.iterations:
            self.newcomers = set(self.data.modalities) - self.history.modalities
        for group in self.groups:
            group.use_history(self.history, reset_rows)

    def counters(self) -> dict[str, float]:
        """Iterations, seconds and bytes of this rank so far."""
        return {
            "iterations": self.iterations,
            "compute_s": self.compute_s,
            "exchange_wall_s": self.exchange_wall_s,
            "bytes_sent": self.exchange.bytes_sent,
        }

    def parts(self) -> Parts:
        """This rank's part of the state of training."""
        optimizer = [group.optimizer_states() for group in self.groups]
        return {
            "state": self._states(),
            "best": {name: _on_cpu(state) for name, state in self.best.items()},
            "optimizer": {name: state for part in optimizer for name, state in part.items()},
            "batches": {batches.name: batches.state() for batches in self.batches},
        }

    def restore_run(
        self,
        parts: Parts,
        counters: Sequence[Mapping[str, float]],
        history: TrainingHistory,
        reset_rows: Collection[str] = (),
    ) -> None:
        """Restore the state of training of any number of ranks.

        Args:
            parts, counters: of all ranks.
            reset_rows: modalities whose rows the run's warm start did not load.
        """
        self.load(parts["state"])
        self.add_history(history, reset_rows)
        self.best = {name: parts["best"][name] for name in self._nets() if name in parts["best"]}
        for group in self.groups:
            group.load_optimizer(parts["optimizer"])
        for batches in self.batches:
            batches.load(parts["batches"][batches.name])
        self.iterations = int(min(of["iterations"] for of in counters))
        own = counters[self.comm.rank :: self.comm.size]  # so that sums over ranks stay the same
        self.compute_s = sum(of["compute_s"] for of in own)
        self.exchange_wall_s = sum(of["exchange_wall_s"] for of in own)
        self.exchange.bytes_sent = int(sum(of["bytes_sent"] for of in own))

    def _states(self) -> dict[str, State]:
        return {name: _on_cpu(net.state()) for name, net in self._nets().items()}

    def _nets(self) -> dict[str, ModalityNet]:
        return {name: net for group in self.groups for name, net in group.nets.items()}

    def _views(self) -> dict[str, FactorView]:
        return {name: view for group in self.groups for name, view in group.views().items()}


def _on_cpu(state: State) -> State:
    return {key: value.cpu() for key, value in state.items()}
