"""One rank's part of HyperLearn: its sites, its batches, and what it hears of the others.

Legend: N items, R width of the factors.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch

from hvdtma.comm.communicator import Communicator
from hypergraph.config import TrainConfig
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
"""All that is needed to go on: kind -> modality or relation -> tensors by name."""
Learned = tuple[np.ndarray, np.ndarray]
"""Of one modality: rows [N, R], and biases [N, B] in the B relations that it is in."""


@dataclass
class RankTrainer:
    """Trains the modalities that are placed on this rank.

    Attributes:
        compute_s: CPU seconds in iterations, packing for the others included, the communicator's
            calls left out: of this thread where PyTorch has one, else of the process, the
            communicator's threads included.
        exchange_wall_s: seconds by the clock in exchanges, waiting for other ranks included.
        iterations: done by this rank.
        past: what the models that it began with were trained on.
        newcomers: modalities, of whatever rank, that these models knew nothing of.
    """

    data: MultimodalHypergraph
    config: TrainConfig
    comm: Communicator
    placement: Placement
    compute_s: float = 0.0
    exchange_wall_s: float = 0.0
    iterations: int = 0
    remote_factors: dict[str, FactorView] = field(default_factory=dict)
    kept: dict[str, State] = field(default_factory=dict)
    past: TrainingHistory = field(default_factory=TrainingHistory)
    newcomers: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        own = self.placement.of_rank(self.comm.rank)
        self.sites = [
            DeviceGroup(self.data, names, self.config, torch.device(where.device))
            for where, names in own.items()
        ]
        self.exchange = Exchange(self.comm, self.placement, self.data, self.config.model.dim)
        here = {name for names in own.values() for name in names}
        self.batches = make_batches(self.data, self.config, here)

    def iterate(self) -> dict[str, float]:
        """One step of the own modalities; its losses by name.

        A collective call in exact mode, and while newcomers are trained alone.
        """
        before, delivered = cpu_s(), self.exchange.deliver_cpu_s
        trained = self.alone or set(self.data.modalities)
        batches = [of.next() for of in self.batches if trained & set(of.modalities)]
        own: dict[str, FactorView] = {}
        for site in self.sites:
            own |= site.views_to_train(trained, self.iterations)
        if self.config.stale and not self.alone:
            seen = {batch.relation: self._heard(own, batch) for batch in batches}
        else:
            start = time.monotonic()
            seen = self.exchange.of_batches(own, batches)
            self.exchange_wall_s += time.monotonic() - start
        found: dict[str, torch.Tensor] = {}
        for site in self.sites:
            losses = site.loss(own, seen, batches)
            site.step(losses, self._rate)
            found |= {name: loss.detach() for name, loss in losses.items()}
        # only here, so that no device is waited for before all have begun
        values = {name: float(loss) for name, loss in found.items()}
        self.iterations += 1
        self.compute_s += cpu_s() - before - (self.exchange.deliver_cpu_s - delivered)
        return values

    @property
    def alone(self) -> set[str]:
        """The newcomers, while they alone are trained."""
        return self.newcomers if self.iterations < self.config.join.alone else set()

    @property
    def _rate(self) -> float:
        """Of the config's learning rate: Adam's first steps are large, and others stand well."""
        join = self.config.join
        done = self.iterations - join.alone
        if not self.newcomers or not 0 <= done < join.warm_up:
            return 1.0
        return (done + 1) / join.warm_up

    def sync_factors(self) -> None:
        """Take in all factors of the other ranks; a collective call, for stale mode."""
        start = time.monotonic()
        with torch.no_grad():
            self.remote_factors = self.exchange.of_all(self._views())
        self.exchange_wall_s += time.monotonic() - start

    def stop(self) -> None:
        """Ask all ranks to stop; they agree at the next exchange. May be called by a signal."""
        self.exchange.asked = True

    def heeded(self) -> None:
        """What a rank asked for is done; the next fit is not asked to stop."""
        self.exchange.asked = self.exchange.told = False

    @property
    def asked(self) -> bool:
        """Whether this rank asks all to stop."""
        return self.exchange.asked

    @property
    def told(self) -> bool:
        """Whether a rank asked to stop: the same on all, as of the last exchange."""
        return self.exchange.told

    def factors(self) -> Factors:
        """What all ranks have learned so far, on every rank; a collective call."""
        return self.joined(self.comm.all_gather_object(self.learned()))

    @torch.no_grad()
    def learned(self) -> dict[str, Learned]:
        """What this rank has learned so far, by modality."""
        return {
            name: (view.rows_SR.cpu().clone().numpy(), view.bias_SB.cpu().clone().numpy())
            for name, view in self._views().items()
        }

    def joined(self, parts: Sequence[dict[str, Learned]]) -> Factors:
        """What all ranks have learned as one."""
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
        """Keep the present state, to `recall`."""
        self.kept = {name: deepcopy(net.state_dict()) for name, net in self._nets().items()}

    def restore(self) -> None:
        """Go back to what was remembered last."""
        self.load(self.kept)

    def states(self) -> dict[str, State]:
        """The state of every modality's net, on every rank; a collective call."""
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
        """Take on states by modality; one without stays as it is.

        Args:
            relations_of: the relations that each was in; None: the same as here.
            reset_rows: modalities whose rows begin anew.

        Raises UserError for a state of another shape, and for an unknown modality.
        """
        for name in reset_rows:
            self.data.modality(name)
        relations_of = relations_of or self.data.relation_names
        for name, net in self._nets().items():
            if name in states:
                net.take_on(states[name], relations_of[name], rows=name not in reset_rows)
        for site in self.sites:
            site.standing.clear()

    def init_newcomers(self, relations: Collection[str]) -> None:
        """Let newcomers to relations that were there without them begin at one.

        What was predicted of these relations still is, then. Not once they are being trained.
        """
        if self.iterations:
            return
        for name, net in self._nets().items():
            if name in self.newcomers and set(relations) & set(net.relations):
                net.begin_at_one()

    def take_on_past(self, past: TrainingHistory, reset_rows: Collection[str] = ()) -> None:
        """Know what the states that are loaded were trained on, but for rows that were reset.

        Before it trains itself, what is not among it is a newcomer.
        """
        self.past = self.past.and_then(past)
        if self.past.trained_on and not self.iterations:
            self.newcomers = set(self.data.modalities) - self.past.modalities
        for site in self.sites:
            site.take_on_past(self.past, reset_rows)

    def counters(self) -> dict[str, float]:
        """What this rank has done so far, and what it took."""
        return {
            "iterations": self.iterations,
            "compute_s": self.compute_s,
            "exchange_wall_s": self.exchange_wall_s,
            "bytes_sent": self.exchange.bytes_sent,
        }

    def parts(self) -> Parts:
        """This rank's part of all that is needed to go on."""
        optimizer = [site.optimizer_states() for site in self.sites]
        return {
            "state": self._states(),
            "best": {name: _on_cpu(state) for name, state in self.kept.items()},
            "optimizer": {name: state for part in optimizer for name, state in part.items()},
            "batches": {batches.name: batches.state() for batches in self.batches},
        }

    def resume_run(
        self,
        parts: Parts,
        counters: Sequence[Mapping[str, float]],
        past: TrainingHistory,
        reset_rows: Collection[str] = (),
    ) -> None:
        """Stand where other ranks stood, however many they were: `parts` of all of them."""
        self.load(parts["state"])
        self.take_on_past(past, reset_rows)
        self.kept = {name: parts["best"][name] for name in self._nets() if name in parts["best"]}
        for site in self.sites:
            site.load_optimizer(parts["optimizer"])
        for batches in self.batches:
            batches.load(parts["batches"][batches.name])
        self.iterations = int(min(of["iterations"] for of in counters))
        taken_over = counters[self.comm.rank :: self.comm.size]  # so that sums stay what they are
        self.compute_s = sum(of["compute_s"] for of in taken_over)
        self.exchange_wall_s = sum(of["exchange_wall_s"] for of in taken_over)
        self.exchange.bytes_sent = int(sum(of["bytes_sent"] for of in taken_over))

    def _states(self) -> dict[str, State]:
        return {name: _on_cpu(net.state()) for name, net in self._nets().items()}

    def _nets(self) -> dict[str, ModalityNet]:
        return {name: net for site in self.sites for name, net in site.nets.items()}

    def _views(self) -> dict[str, FactorView]:
        return {name: view for site in self.sites for name, view in site.views().items()}

    def _heard(self, own: dict[str, FactorView], batch: HyperedgeBatch) -> dict[str, FactorView]:
        views = own | self.remote_factors
        return {name: views[name].take(rows) for name, rows in batch.rows.items()}


def _on_cpu(state: State) -> State:
    return {key: value.cpu() for key, value in state.items()}
