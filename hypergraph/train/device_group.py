"""What one device trains: its modalities' nets, and its part of every relation they are in.

Legend: N items, R rank of the factors, B relations that a modality is in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from zlib import crc32

import numpy as np
import torch
from torch import nn

from hvdtma.aggregate.optimizers import make_optimizer
from hvdtma.core.errors import UserError
from hypergraph.config import TrainConfig
from hypergraph.data import Modality, MultimodalHypergraph
from hypergraph.history import TrainingHistory
from hypergraph.model.diffusion import FactorNet, initial_scale
from hypergraph.model.laplacian import normalised_laplacian, rescaled
from hypergraph.model.objective import gram, smoothness
from hypergraph.model.unseen import kept_rows, mean_for_unseen
from hypergraph.sparse import SparseMatrix
from hypergraph.train.batches import HyperedgeBatch
from hypergraph.train.factor_view import FactorView
from hypergraph.train.losses import relation_loss


class ModalityNet(nn.Module):
    """A modality's factor [N, R] and biases [N, B], with its graph and features beside.

    An item has a bias in each of the B relations that its modality is in: how it deviates there
    from the mean of values, or how popular it is; what the Gram loss has no use for stays zero.
    An item without a hyperedge has no row, or in a relation no bias, of its own: `mean_for_unseen`;
    unless it had one in what was taken on.

    Its initial values come from the seed and its name alone: the same on whatever rank.
    """

    def __init__(
        self, data: MultimodalHypergraph, name: str, config: TrainConfig, device: torch.device
    ):
        super().__init__()
        modality, dtype = data.modality(name), config.dtype
        self.name, self.size, self.seed = name, modality.num_items, config.seed
        self.row_dropout = config.model.row_dropout.get(name, 0.0)
        self.relations = data.relation_names[name]
        arity = max(relation.arity for relation in data.relations_of(name))
        features = features_of(modality, dtype) if config.model.features else None
        intra, seen_NB = modality.intra, torch.from_numpy(data.seen(name))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(crc32(modality.name.encode()) ^ config.seed)
            self.net = FactorNet(
                modality.num_items,
                config.model.dim,
                scale=initial_scale(config.model.dim, arity),
                order=config.model.order if intra is not None else 0,
                steps=config.model.steps if intra is not None else 0,
                feature_dim=None if features is None else features.shape[1],
                seen_N=seen_NB.any(1),
            ).to(dtype)
        self.bias = nn.Parameter(torch.zeros(self.size, len(self.relations), dtype=dtype))
        self.seen_NB: torch.Tensor
        self.register_buffer("seen_NB", seen_NB, persistent=False)
        self.laplacian = self.operator = None
        if intra is not None:
            edges = torch.from_numpy(intra.edges)
            weights = None if intra.weights is None else torch.from_numpy(intra.weights)
            laplacian = normalised_laplacian(
                edges, weights, num_nodes=modality.num_items, dtype=dtype
            )
            self.laplacian, self.operator = laplacian.to(device), rescaled(laplacian).to(device)
        self.features = None if features is None else features.to(device)
        self.to(device)

    def forward(self, iteration: int | None = None) -> FactorView:
        """All rows, with gradients.

        Args:
            iteration: to train, without the rows that it drops; None: all are kept.
        """
        kept_N1 = None
        if iteration is not None:
            kept_N1 = kept_rows(self.name, self.size, self.row_dropout, self.seed, iteration)
            kept_N1 = None if kept_N1 is None else kept_N1.to(self.bias.device)
        factor_NR = self.net(self.operator, self.features, kept_N1)
        bias_NB = mean_for_unseen(self.bias, self.seen_NB)
        return FactorView(factor_NR, bias_NB, gram(factor_NR), self.size, self.relations)

    def state(self) -> dict[str, torch.Tensor]:
        """All parameters, the mean in place of what is not learned: others may learn it."""
        means = {
            "net.factor": mean_for_unseen(self.net.factor, self.net.seen_N1).detach(),
            "bias": mean_for_unseen(self.bias, self.seen_NB).detach(),
        }
        return {**self.state_dict(), **means}

    def begin_at_one(self) -> None:
        """Begin where the product with this factor leaves what the others predict as it is."""
        self.net.begin_at_one()

    def note_seen(self, relation: str, items_n: torch.Tensor, *, rows: bool = True) -> None:
        """Some items' rows, and biases in a relation, were learned: no mean stands in for them."""
        items_n = items_n.to(self.bias.device)
        if relation in self.relations:
            self.seen_NB[items_n, self.relations.index(relation)] = True
        if rows and self.net.seen_N1 is not None:
            self.net.seen_N1[items_n] = True

    def take_on(
        self, state: Mapping[str, torch.Tensor], relations: Sequence[str], *, rows: bool = True
    ) -> None:
        """Go on from the state of a net whose biases are of these relations.

        Without its `rows`, they begin anew; encoder, diffusion and biases go on.
        Raises UserError if that one has another shape.
        """
        bias = self.bias.detach().clone()
        if len(state["bias"]) != self.size:
            raise UserError(f"what is loaded is of {len(state['bias'])} items, not {self.size}")
        own = {f"net.{key}": getattr(self.net, key) for key in ("factor", "level")}
        state = state if rows else {**state, **own}
        for number, name in enumerate(self.relations):
            if name in relations:
                bias[:, number] = state["bias"][:, list(relations).index(name)]
        try:
            self.load_state_dict({**state, "bias": bias})
        except RuntimeError as error:
            raise UserError(
                "what is loaded is of another model (model.dim, model.steps, model.order, features "
                f"or a graph that came or went): {str(error).splitlines()[-1].strip()}"
            ) from error


class DeviceGroup:
    """The modalities trained on one device."""

    def __init__(
        self,
        data: MultimodalHypergraph,
        names: Sequence[str],
        config: TrainConfig,
        device: torch.device,
    ):
        self.config, self.device = config, device
        self.nets = {name: ModalityNet(data, name, config, device) for name in names}
        self.relations = [r for r in data.relations.values() if set(names) & set(r.modalities)]
        self.means = {relation.name: relation.mean for relation in self.relations}
        self.optimizer = make_optimizer(config.optimizer, nn.ModuleList(self.nets.values()))
        self.standing: dict[str, FactorView] = {}

    def views(self) -> dict[str, FactorView]:
        """Each of its modalities, as it stands."""
        return {name: net() for name, net in self.nets.items()}

    def views_to_train(self, trained: Collection[str], iteration: int) -> dict[str, FactorView]:
        """Each of its modalities, with gradients where it is trained in an iteration.

        Views of those that are not trained are made once.
        """
        with torch.no_grad():
            for name in set(self.nets) - set(trained) - set(self.standing):
                self.standing[name] = self.nets[name]()
        if set(self.nets) <= set(trained):
            self.standing.clear()
        return {
            name: net(iteration) if name in trained else self.standing[name]
            for name, net in self.nets.items()
        }

    def loss(
        self,
        own: Mapping[str, FactorView],
        seen: Mapping[str, Mapping[str, FactorView]],
        batches: Sequence[HyperedgeBatch],
    ) -> dict[str, torch.Tensor]:
        """The relations' losses, and the smoothness of its own modalities, by name.

        Of those that are trained: whose views have gradients.
        """
        trained = {name for name in self.nets if own[name].rows_SR.requires_grad}
        losses = {}
        for batch in batches:
            relation = next((r for r in self.relations if r.name == batch.relation), None)
            if relation is None or not trained & set(relation.modalities):
                continue
            views = [
                view if name in self.nets else view.detached(self.device)
                for name, view in ((n, seen[batch.relation][n]) for n in relation.modalities)
            ]
            losses[relation.name] = relation_loss(
                relation, batch, views, self.config.loss, self.means[relation.name]
            )
        weight = self.config.loss.smoothness
        for name, net in self.nets.items():
            if net.laplacian is not None and weight and name in trained:
                losses[f"smoothness of {name}"] = weight * smoothness(
                    own[name].rows_SR, net.laplacian
                )
        return losses

    def take_on_past(self, past: TrainingHistory, reset_rows: Collection[str]) -> None:
        """Keep what was learned of items that no hyperedge of now has, and go on from its means."""
        self.means = {relation.name: past.mean_of(relation) for relation in self.relations}
        for name, net in self.nets.items():
            for relation in past.trained_on:
                if name in relation.modalities:
                    items_n = torch.from_numpy(relation.column(name))
                    net.note_seen(relation.name, items_n, rows=name not in reset_rows)

    def step(self, losses: Mapping[str, torch.Tensor], rate: float = 1.0) -> None:
        """One optimiser step down the sum of losses, if there are any.

        Gradients are clipped by modality; `rate` is of the config's learning rate.
        """
        if not losses:
            return
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.config.optimizer.lr
        self.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        if self.config.optimizer.clip_norm:
            for net in self.nets.values():
                nn.utils.clip_grad_norm_(net.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()

    def optimizer_states(self) -> dict[str, dict[str, torch.Tensor]]:
        """Modality -> the optimiser's state of its parameters, as `PARAMETER.NAME`."""
        return {
            modality: {
                f"{key}.{name}": value.cpu()
                for key, parameter in net.named_parameters()
                for name, value in self.optimizer.state.get(parameter, {}).items()
                if torch.is_tensor(value)
            }
            for modality, net in self.nets.items()
        }

    def load_optimizer(self, states: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Give the optimiser the states of its modalities back."""
        keys = [(m, key) for m, net in self.nets.items() for key, _ in net.named_parameters()]
        number = {key: index for index, key in enumerate(keys)}
        state: dict[int, dict[str, torch.Tensor]] = {}
        for modality in self.nets:
            for key, value in states.get(modality, {}).items():
                parameter, _, name = key.rpartition(".")
                state.setdefault(number[modality, parameter], {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def features_of(modality: Modality, dtype: torch.dtype) -> SparseMatrix | torch.Tensor | None:
    """A modality's features [N, D], None if it has none."""
    features = modality.features
    if features is None:
        return None
    if isinstance(features, np.ndarray):
        return torch.from_numpy(features).to(dtype)
    coo = features.tocoo()
    row, col = (torch.from_numpy(x.astype("int64")) for x in coo.coords)
    return SparseMatrix.of(row, col, torch.from_numpy(coo.data).to(dtype), features.shape)
