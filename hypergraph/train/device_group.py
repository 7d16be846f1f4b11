"""The modalities that are trained on one device.

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
from hypergraph.config import HyperLearnConfig
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
    """The factor [N, R] and the biases [N, B] of a modality, made from parameters, graph, features.

    An item has a bias in each of the B relations of its modality: its deviation from the mean of
    values, or its popularity. Biases stay zero under the Gram loss, which does not use them. An
    item without a hyperedge has the mean row, and without one in a relation the mean bias
    (`mean_for_unseen`), unless a loaded state has learned ones.

    Initial values depend on the seed and the name only, not on the rank.
    """

    def __init__(
        self, data: MultimodalHypergraph, name: str, config: HyperLearnConfig, device: torch.device
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
        """A view of all rows, with gradients.

        Args:
            iteration: the training iteration, which decides the rows to drop; None: no row is
                dropped.
        """
        kept_N1 = None
        if iteration is not None:
            kept_N1 = kept_rows(self.name, self.size, self.row_dropout, self.seed, iteration)
            kept_N1 = None if kept_N1 is None else kept_N1.to(self.bias.device)
        factor_NR = self.net(self.operator, self.features, kept_N1)
        bias_NB = mean_for_unseen(self.bias, self.seen_NB)
        return FactorView(factor_NR, bias_NB, gram(factor_NR), self.size, self.relations)

    def state(self) -> dict[str, torch.Tensor]:
        """The state dict, with means in place of rows and biases that were not learned.

        A model that loads it may learn them.
        """
        means = {
            "net.factor": mean_for_unseen(self.net.factor, self.net.seen_N1).detach(),
            "bias": mean_for_unseen(self.bias, self.seen_NB).detach(),
        }
        return {**self.state_dict(), **means}

    def init_at_one(self) -> None:
        """Start with a factor whose product with others leaves their predictions the same."""
        self.net.init_at_one()

    def mark_learned(self, relation: str, items_n: torch.Tensor, *, rows: bool = True) -> None:
        """Use the items' own biases in a relation, and their own rows, instead of means."""
        items_n = items_n.to(self.bias.device)
        if relation in self.relations:
            self.seen_NB[items_n, self.relations.index(relation)] = True
        if rows and self.net.seen_N1 is not None:
            self.net.seen_N1[items_n] = True

    def load_from(
        self, state: Mapping[str, torch.Tensor], relations: Sequence[str], *, rows: bool = True
    ) -> None:
        """Load the state of another net of the modality.

        Args:
            relations: the relations of the other net's biases.
            rows: whether rows are loaded; encoder, diffusion and biases always are.

        Raises UserError if the other net has another shape.
        """
        bias = self.bias.detach().clone()
        if len(state["bias"]) != self.size:
            raise UserError(
                f"the loaded modality '{self.name}' has {len(state['bias'])} items, not {self.size}"
            )
        own = {f"net.{key}": getattr(self.net, key) for key in ("factor", "level")}
        state = state if rows else {**state, **own}
        for number, name in enumerate(self.relations):
            if name in relations:
                bias[:, number] = state["bias"][:, list(relations).index(name)]
        try:
            self.load_state_dict({**state, "bias": bias})
        except RuntimeError as error:
            raise UserError(
                "the loaded model is another model (model.dim, model.steps, model.order, features "
                f"or graphs differ): {str(error).splitlines()[-1].strip()}"
            ) from error


class DeviceGroup:
    """The nets of the modalities on one device, and their optimiser."""

    def __init__(
        self,
        data: MultimodalHypergraph,
        names: Sequence[str],
        config: HyperLearnConfig,
        device: torch.device,
    ):
        self.config, self.device = config, device
        self.nets = {name: ModalityNet(data, name, config, device) for name in names}
        self.relations = [r for r in data.relations.values() if set(names) & set(r.modalities)]
        self.means = {relation.name: relation.mean for relation in self.relations}
        self.optimizer = make_optimizer(config.optimizer, nn.ModuleList(self.nets.values()))
        self._frozen: dict[str, FactorView] = {}

    def views(self) -> dict[str, FactorView]:
        """Modality -> view of all its rows."""
        return {name: net() for name, net in self.nets.items()}

    def views_to_train(self, trained: Collection[str], iteration: int) -> dict[str, FactorView]:
        """Modality -> view of all its rows, with gradients for the modalities that are trained.

        Views of the other modalities are made once and reused.
        """
        with torch.no_grad():
            for name in set(self.nets) - set(trained) - set(self._frozen):
                self._frozen[name] = self.nets[name]()
        if set(self.nets) <= set(trained):
            self._frozen.clear()
        return {
            name: net(iteration) if name in trained else self._frozen[name]
            for name, net in self.nets.items()
        }

    def load(
        self,
        states: Mapping[str, Mapping[str, torch.Tensor]],
        relations_of: Mapping[str, Sequence[str]],
        reset_rows: Collection[str],
    ) -> None:
        """Load the states of nets by modality; arguments as of `RankTrainer.load`."""
        for name, net in self.nets.items():
            if name in states:
                net.load_from(states[name], relations_of[name], rows=name not in reset_rows)
        self._frozen.clear()

    def loss(
        self,
        own: Mapping[str, FactorView],
        of_batches: Mapping[str, Mapping[str, FactorView]],
        batches: Sequence[HyperedgeBatch],
    ) -> dict[str, torch.Tensor]:
        """Name -> loss: of each relation, and the smoothness of each modality with a graph.

        Only modalities that are trained have losses: those whose views have gradients.

        Args:
            own: views of all rows of the device's modalities.
            of_batches: relation -> modality -> view of the batch's rows.
        """
        trained = {name for name in self.nets if own[name].rows_SR.requires_grad}
        losses = {}
        for batch in batches:
            relation = next((r for r in self.relations if r.name == batch.relation), None)
            if relation is None or not trained & set(relation.modalities):
                continue
            views = [
                view if name in self.nets else view.detached(self.device)
                for name, view in ((n, of_batches[batch.relation][n]) for n in relation.modalities)
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

    def use_history(self, history: TrainingHistory, reset_rows: Collection[str]) -> None:
        """Use the means of a history, and the rows and biases that were learned in it."""
        self.means = {relation.name: history.mean_of(relation) for relation in self.relations}
        for name, net in self.nets.items():
            for relation in history.trained_on:
                if name in relation.modalities:
                    items_n = torch.from_numpy(relation.column(name))
                    net.mark_learned(relation.name, items_n, rows=name not in reset_rows)

    def step(self, losses: Mapping[str, torch.Tensor], rate: float = 1.0) -> None:
        """One optimiser step on the sum of the losses, if there are any.

        Gradients are clipped by modality.

        Args:
            rate: factor on the config's learning rate.
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
        """Modality -> the optimiser's state, with keys `PARAMETER.NAME`."""
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
        """Restore the optimiser's states by modality."""
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
    """The features [N, D] of a modality as a tensor; None without features."""
    features = modality.features
    if features is None:
        return None
    if isinstance(features, np.ndarray):
        return torch.from_numpy(features).to(dtype)
    coo = features.tocoo()
    row, col = (torch.from_numpy(x.astype("int64")) for x in coo.coords)
    return SparseMatrix.of(row, col, torch.from_numpy(coo.data).to(dtype), features.shape)
