"""HyperLearn: the factors of all modalities in one shared space.

    graph = from_tate("artworks.csv.gz")
    split = split_relation(graph, "artwork")
    model = HyperLearn(split).fit()
    model.evaluate()
    model.complete("artwork", {"medium": "Oil paint on canvas", "century": 19}, missing="artist")

Legend: N items, R width of the factors, n hyperedges, K arity.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hvdtma.comm.communicator import Communicator, run_on_all, run_on_rank0
from hvdtma.comm.single_process import SingleProcess
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hypergraph.answers import Answers, Hyperedge
from hypergraph.config import HyperLearnConfig
from hypergraph.data import Modality, MultimodalHypergraph, Relation, Split
from hypergraph.data.modality import Id
from hypergraph.factors import Factors
from hypergraph.history import TrainingHistory, check_not_trained_on
from hypergraph.model_file import SavedModel, check_items, items_of, read_model, write_model
from hypergraph.placement import Placement
from hypergraph.scoring import HeldOutHyperedges, held_out, score
from hypergraph.train.checks import (
    check_linked,
    check_memory,
    check_nothing_held_out,
    check_row_dropout,
    check_same_data,
)
from hypergraph.train.devices import find_devices
from hypergraph.train.fit import (
    INTERRUPTED,
    EventListener,
    Fit,
    FitProgress,
    ProgressListener,
    check_validation,
)
from hypergraph.train.rank_trainer import RankTrainer, State


class HyperLearn:
    """A factor [N, R] per modality, learned from links inside modalities and across them.

    Under `horovodrun -np K`, or with any other communicator, every rank makes the same model and
    calls the same methods; each rank trains the modalities that are placed on it.

    Args:
        data: a hypergraph, or a split. The validation hyperedges of a split choose the best
            factors, and `evaluate` scores its held-out hyperedges. A hypergraph that came with a
            split must be split by it (`given_split`), so that held-out hyperedges are not trained
            on.
        config: how to train; None: the defaults.
        comm: the communicator; None: this process alone.

    Attributes:
        placement: the device of each modality; `print` shows a table.
        best: validation scores of the learned factors; empty before `fit` has ended.
        stopped: why training ended; empty before, and if it failed.

    Raises UserError, on every rank, for data or a config that do not fit.
    """

    def __init__(
        self,
        data: MultimodalHypergraph | Split,
        config: HyperLearnConfig | None = None,
        *,
        comm: Communicator | None = None,
    ):
        if not isinstance(config, HyperLearnConfig | None):
            raise UserError(
                f"config is a {type(config).__name__}; give a HyperLearnConfig, which "
                "HyperLearnConfig.model_validate makes of a dict"
            )
        self.split = data if isinstance(data, Split) else None
        self.data = data.train if isinstance(data, Split) else data
        self.config, self.comm = config or HyperLearnConfig(), comm or SingleProcess()
        check_same_data(self.split or self.data, self.config, self.comm)
        check_linked(self.data)
        check_row_dropout(self.data, self.config)
        check_nothing_held_out(self.data)
        sizes = self.data.sizes
        devices = find_devices(self.comm, self.config)
        given = self.config.placement
        self.placement = (
            Placement.given(given, list(sizes), devices)
            if given
            else Placement.balanced(sizes, devices)
        )
        here = self.placement.of_rank(self.comm.rank)
        on_cpu = [name for slot, names in here.items() for name in names if slot.device == "cpu"]
        run_on_all(self.comm, lambda: check_memory(self.data, self.config, on_cpu))
        self.trainer = RankTrainer(self.data, self.config, self.comm, self.placement)
        self.best: dict[str, float] = {}
        self.stopped = ""
        self._learned: Factors | None = None

    def fit(
        self,
        on_event: EventListener = lambda _: None,
        *,
        on_progress: ProgressListener = lambda _: None,
        progress: FitProgress | None = None,
    ) -> HyperLearn:
        """Train, and keep the factors with the best validation score. Collective.

        Training starts from the present factors. After a warm start without new modalities, the
        initial factors are scored too.

        Args:
            on_event: called on rank 0 with every score, an event of metrics.jsonl.
            on_progress: called on every rank after every score and at the end
                (`hypergraph.train.checkpoint.CheckpointWriter`).
            progress: the progress of an interrupted fit, to continue it.

        Returns: the model itself.

        Raises UserError, on every rank: before training, for patience without validation
        hyperedges, an unknown metric, and validation hyperedges that were trained on before; in
        training, if a loss or a factor is not finite.
        """
        fit = Fit(
            self.trainer,
            self._held_out("valid"),
            on_event,
            on_progress,
            progress or FitProgress(),
        )
        self.best, self.stopped, self._learned = {}, "", None  # also if this fit fails
        fit.run()
        self.stopped = fit.progress.stopped
        if self.stopped != INTERRUPTED:  # an interrupted fit ends with its last factors
            self.best = fit.progress.best_score
        self._learned = self.trainer.factors()
        return self

    def check_validation(self) -> None:
        """Raises, on every rank, the UserErrors that `fit` raises before training."""
        check_validation(self.config, self._held_out("valid"))

    @property
    def learned(self) -> Factors:
        """Factors and biases of all modalities. Collective at the first access after a change."""
        if self._learned is None:
            self._learned = self.trainer.factors()
        return self._learned

    @property
    def factors(self) -> dict[str, np.ndarray]:
        """Modality -> [N, R]."""
        return self.learned.rows

    def evaluate(self, part: str = "test") -> dict[str, float]:
        """Scores of the held-out hyperedges by metric; see `hypergraph.metrics`.

        Args:
            part: `valid` or `test`.

        Raises UserError if no hyperedges are held out, and if some of them were trained on: the
        model was loaded with another split, or with other data.
        """
        if part not in ("valid", "test"):
            raise UserError(f"part is '{part}'; valid: valid, test")
        hyperedges = self._held_out(part)
        if hyperedges is None:
            raise UserError(f"no hyperedges are held out for {part}; see split_relation")
        return score(self.learned, hyperedges)

    def score(self, hyperedges: Iterable[Hyperedge], relation: str | None = None) -> np.ndarray:
        """Scores [n] of hyperedges; for a relation with values, the expected values.

        Args:
            hyperedges: each as a dict of ids by modality, or as a list of ids in the relation's
                order.
            relation: the relation's name; None: the only one.

        Raises UserError for an unknown relation, modality or item, and for a hyperedge without an
        item of each modality.
        """
        return self._answers().score(self._relation(relation), hyperedges)

    def complete(
        self, relation: str, known: Mapping[str, Id], missing: str, *, top: int = 10
    ) -> list[tuple[Id, float]]:
        """The items most likely to complete a hyperedge, with their scores, best first.

        Args:
            known: modality -> id; a modality that is left out is represented by the mean of its
                items.
            missing: the modality of the items to find.
            top: number of items.

        Raises UserError for an unknown relation, modality or item, and if an item of the missing
        modality is given.
        """
        return self._answers().complete(self._relation(relation), known, missing, top)

    def similar(
        self, modality: str, item: Id, *, across: str | None = None, top: int = 10
    ) -> list[tuple[Id, float]]:
        """The items nearest in the shared space, by cosine, best first.

        Args:
            across: the modality of the items to find; None: the item's own, without the item.
            top: largest number of items.

        Returns: (id, cosine from -1 to 1) of each item; the cosine with a row of zeros is 0.

        Raises UserError for an unknown modality or item, and for `top` below 1.
        """
        return self._answers().similar(modality, item, across or modality, top)

    def add_modality(
        self,
        modality: Modality,
        *relations: Relation,
        config: HyperLearnConfig | None = None,
        reset_rows: Collection[str] = (),
    ) -> HyperLearn:
        """A model with one more modality, which starts from this model's factors.

        Args:
            relations: the relations of the new modality; a relation whose name exists is replaced.
            config: how to train; None: as before, but with modalities placed by size, since the
                present placement has no rank for the new one.
            reset_rows: see `warm_start`.

        Raises UserError if no relation names the modality, if the modality exists, and if the
        relation whose hyperedges are held out is replaced: split the new relation, and call
        `warm_start`.
        """
        if modality.name in self.data.modalities:
            raise UserError(f"the model has the modality '{modality.name}' already")
        if not any(modality.name in relation.modalities for relation in relations):
            raise UserError(f"no given relation names the modality '{modality.name}'; give one")
        graph = self.data.with_modality(modality)
        for relation in relations:
            graph = graph.with_relation(relation)
        data: MultimodalHypergraph | Split = graph
        if self.split is not None:
            held_out_of = self.split.relation
            if held_out_of in (relation.name for relation in relations):
                raise UserError(
                    f"hyperedges of '{held_out_of}' are held out; split the new relation and call "
                    "HyperLearn(split).warm_start(model)"
                )
            data = Split(graph, held_out_of, self.split.valid, self.split.test)
        config = config or self.config.model_copy(update={"placement": {}})
        larger = HyperLearn(data, config, comm=self.comm)
        return larger.warm_start(self, reset_rows=reset_rows)

    def save(self, path: str | Path) -> Path:
        """Write the model as safetensors, atomically. Collective."""
        states, learned, path = self.trainer.states(), self.learned, expanded(path)
        run_on_rank0(
            self.comm,
            lambda: write_model(
                path, self.data, self.config, states, learned, self.best, self.history
            ),
        )
        return path

    @classmethod
    def load(
        cls,
        path: str | Path,
        data: MultimodalHypergraph | Split,
        *,
        comm: Communicator | None = None,
    ) -> HyperLearn:
        """Read a saved model, on any number of ranks, with or without GPUs. Collective.

        Args:
            data: the data that the model was learned from; it may have more modalities. With
                another split, `evaluate` does not score hyperedges that were trained on.

        Raises UserError if the file is damaged, or of a model of other modalities or items.
        """
        saved = read_model(expanded(path))
        anywhere = saved.config.model_copy(update={"placement": {}, "device": "auto"})
        model = cls(data, anywhere, comm=comm)
        run_on_all(model.comm, lambda: model._load_saved(saved))
        model.best = saved.best
        return model

    def warm_start(
        self, other: HyperLearn | str | Path, *, reset_rows: Collection[str] = ()
    ) -> HyperLearn:
        """Start from the factors of another model, or of a saved one. Collective.

        Modalities that the other model was not trained on are new. In a relation that the other
        model has without the new modality, its rows start at one: predictions stay the same, except
        for the random spread of these rows. `fit` first trains new modalities alone, and then all
        with a learning rate that rises (`config.join`): the first steps of a new optimiser would
        undo much of what the other modalities have learned. A model that was trained itself has no
        new modalities.

        Args:
            reset_rows: modalities whose rows start at their initial values; the encoder of their
                features is taken over. Rows that explain all of their hyperedges leave the encoder
                little to learn from a new modality, and items without hyperedges depend on the
                encoder (warm starts can generalise worse: Ash and Adams, NeurIPS 2020).

        Returns: the model itself.

        Raises UserError if the other model has a modality that is missing here or has other items,
        if it was trained on hyperedges that are held out here, and for an unknown modality in
        `reset_rows`.
        """
        if isinstance(other, HyperLearn):
            states = other.trainer.states()
            run_on_all(self.comm, lambda: self._load_model(other, states, reset_rows))
        else:
            path = expanded(other)
            run_on_all(self.comm, lambda: self._load_saved(read_model(path), reset_rows))
        run_on_all(self.comm, self._check_history)
        return self

    @property
    def history(self) -> TrainingHistory:
        """The hyperedges that the model was trained on, also before a load or a warm start."""
        here, before = self.data.relations.values(), self.trainer.history
        if not self.trainer.iterations:
            return before
        return before.followed_by(TrainingHistory.of(here, before))

    def _check_history(self) -> None:
        if self.split is not None:
            for part in (self.split.valid, self.split.test):
                check_not_trained_on(part, self.split, self.trainer.history)

    def _load_model(
        self, other: HyperLearn, states: dict[str, State], reset_rows: Collection[str]
    ) -> None:
        check_items("the other model", items_of(other.data), self.data)
        self._load(states, other.data.relation_names, other.history, reset_rows)

    def _load_saved(self, saved: SavedModel, reset_rows: Collection[str] = ()) -> None:
        check_items(str(saved.path), saved.items, self.data)
        self._load(saved.states, saved.relations_of, saved.history, reset_rows)

    def _load(
        self,
        states: dict[str, State],
        relations_of: Mapping[str, Sequence[str]],
        history: TrainingHistory,
        reset_rows: Collection[str],
    ) -> None:
        self.trainer.load(states, relations_of, reset_rows)
        self.trainer.add_history(history, reset_rows)
        self.trainer.init_newcomers(
            {relation for name in states for relation in relations_of[name]}
        )
        self._learned = None

    def _held_out(self, part: str) -> HeldOutHyperedges | None:
        if self.split is None:
            return None
        parts = {"valid": self.split.valid, "test": self.split.test}
        if not parts[part].num_hyperedges:
            return None
        check_not_trained_on(parts[part], self.split, self.trainer.history)
        train = self.data.relation(self.split.relation)
        found = held_out(parts[part], train, *parts.values())
        return replace(found, mean=self.trainer.history.mean_of(train))

    def _relation(self, name: str | None) -> Relation:
        if name is not None:
            return self.data.relation(name)
        if len(self.data.relations) > 1:
            raise UserError(f"the relation is not given; valid: {', '.join(self.data.relations)}")
        return next(iter(self.data.relations.values()))

    def _answers(self) -> Answers:
        return Answers(self.data, self.learned, self.trainer.history)
