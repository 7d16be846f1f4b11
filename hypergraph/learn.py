"""HyperLearn: factors of all modalities in one shared space.

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
from hypergraph.answers import Answers, Hyperedge
from hypergraph.config import TrainConfig
from hypergraph.data import Modality, MultimodalHypergraph, Relation, Split
from hypergraph.data.modality import Id
from hypergraph.factors import Factors
from hypergraph.history import TrainingHistory, check_not_trained_on
from hypergraph.placement import Placement
from hypergraph.saved import Saved, check_items, items_of, read_saved, write_saved
from hypergraph.scoring import HeldOutHyperedges, held_out, score
from hypergraph.train.checks import (
    check_linked,
    check_nothing_held_out,
    check_row_dropout,
    check_same_data,
)
from hypergraph.train.devices import find_places
from hypergraph.train.fit import INTERRUPTED, Callback, Fit, FitProgress, Save, check_scores
from hypergraph.train.rank_trainer import RankTrainer, State


class HyperLearn:
    """A factor [N, R] per modality, learned from links inside modalities and across them.

    Under `horovodrun -np K`, or with any other communicator, every rank makes the same model and
    calls the same methods; each trains the modalities that are placed on it.

    Args:
        data: a hypergraph, or one of whose relations hyperedges are held out: then these choose
            the best factors, and `evaluate` scores them. One whose relations came with a split must
            be split by it (`given_split`): what is held out is not trained on.
        config: how to train.
        comm: the ranks; None is this process alone.

    Attributes:
        placement: which modality is trained where; may be printed.
        best: scores on the validation hyperedges of what was learned; empty while there is nothing
            that `fit` ended with.
        stopped: why training ended; empty if it failed.

    Raises UserError, on every rank, for data or a config that do not fit.
    """

    def __init__(
        self,
        data: MultimodalHypergraph | Split,
        config: TrainConfig | None = None,
        *,
        comm: Communicator | None = None,
    ):
        if not isinstance(config, TrainConfig | None):
            raise UserError(
                f"config is a {type(config).__name__}; give a TrainConfig, which "
                "TrainConfig.model_validate makes of a dict"
            )
        self.split = data if isinstance(data, Split) else None
        self.data = data.train if isinstance(data, Split) else data
        self.config, self.comm = config or TrainConfig(), comm or SingleProcess()
        check_same_data(self.split or self.data, self.config, self.comm)
        check_linked(self.data)
        check_row_dropout(self.data, self.config)
        check_nothing_held_out(self.data)
        sizes = self.data.sizes
        places = find_places(self.comm, self.config)
        given = self.config.placement
        self.placement = (
            Placement.given(given, list(sizes), places)
            if given
            else Placement.balanced(sizes, places)
        )
        self.learner = RankTrainer(self.data, self.config, self.comm, self.placement)
        self.best: dict[str, float] = {}
        self.stopped = ""
        self._learned: Factors | None = None

    def fit(
        self,
        watch: Callback = lambda _: None,
        *,
        save: Save = lambda _: None,
        progress: FitProgress | None = None,
    ) -> HyperLearn:
        """Train, from where it stands; the model itself, as it scored best on validation.

        Where it began with another model, and without newcomers, what it began with is scored too.

        Args:
            watch: told of every score, on rank 0.
            save: told how far it has come, on every rank (`hypergraph.train.checkpoint.Saver`).
            progress: of a fit that was cut short, to go on with.

        Raises UserError, on every rank, before training: for patience without validation
        hyperedges, an unknown metric, and validation hyperedges that were trained on before; and
        when a loss or a factor is no longer finite.
        """
        fit = Fit(self.learner, self._held_out("valid"), watch, save, progress or FitProgress())
        self.best, self.stopped, self._learned = {}, "", None  # of a fit before: if this one fails
        fit.run()
        self.stopped = fit.progress.stopped
        if self.stopped != INTERRUPTED:  # else it is left as it is, not as it scored best
            self.best = fit.progress.best_score
        self._learned = self.learner.factors()
        return self

    def check_scores(self) -> None:
        """Raise what `fit` does before it trains, for want of hyperedges or metrics to choose by.

        On every rank alike.
        """
        check_scores(self.config, self._held_out("valid"))

    @property
    def learned(self) -> Factors:
        """Factors and biases of all modalities; a collective call at first, unless `fit` ended."""
        if self._learned is None:
            self._learned = self.learner.factors()
        return self._learned

    @property
    def factors(self) -> dict[str, np.ndarray]:
        """Modality -> [N, R]."""
        return self.learned.rows

    def evaluate(self, part: str = "test") -> dict[str, float]:
        """Scores of held-out hyperedges: see `hypergraph.metrics`.

        Raises UserError if none are held out, or some of them were trained on: the model was loaded
        with another split, or with data that a seed splits otherwise.
        """
        if part not in ("valid", "test"):
            raise UserError(f"part is '{part}'; valid: valid, test")
        of = self._held_out(part)
        if of is None:
            raise UserError(f"no hyperedges are held out for {part}; see split_relation")
        return score(self.learned, of)

    def score(self, hyperedges: Iterable[Hyperedge], relation: str | None = None) -> np.ndarray:
        """Scores [n] of hyperedges; of a valued relation, the values expected.

        Args:
            hyperedges: ids by modality, or in the relation's order.
            relation: its name; may be left out where there is one only.

        Raises UserError for an unknown relation, modality or item, and for a hyperedge that has
        not one item of each modality of the relation.
        """
        return self._answers().score(self._relation(relation), hyperedges)

    def complete(
        self, relation: str, known: Mapping[str, Id], missing: str, *, top: int = 10
    ) -> list[tuple[Id, float]]:
        """The items most likely to complete a hyperedge, with their scores, best first.

        Args:
            known: ids by modality; for one that is left out, the mean of its items is taken.
            missing: the modality whose items are asked for.

        Raises UserError for an unknown relation, modality or item, and if what is missing is known.
        """
        return self._answers().complete(self._relation(relation), known, missing, top)

    def similar(
        self, modality: str, item: Id, *, across: str | None = None, top: int = 10
    ) -> list[tuple[Id, float]]:
        """The items nearest in the shared space, by cosine, best first.

        Args:
            across: the modality to look in; None: the item's own, without the item itself.
            top: how many at most.

        Returns: (id, cosine from -1 to 1) of each; 0 beside a factor of zeros.

        Raises UserError for an unknown modality or item, and for `top` below 1.
        """
        return self._answers().similar(modality, item, across or modality, top)

    def add_modality(
        self,
        modality: Modality,
        *relations: Relation,
        config: TrainConfig | None = None,
        reset_rows: Collection[str] = (),
    ) -> HyperLearn:
        """A model with a modality more; the rest begins where it stands, `fit` trains on.

        Args:
            relations: new ones that it is in; a relation of a name that is there replaces it.
            config: how to train on; None: as before, but modalities are placed anew, by size,
                since the placement so far has no rank for this one.
            reset_rows: see `begin_with`.

        Raises UserError if no relation names it, if it is there already, and for the relation that
        hyperedges are held out of: hold some out of the new one, and see `begin_with`.
        """
        if modality.name in self.data.modalities:
            raise UserError(f"the model has the modality '{modality.name}' already")
        if not any(modality.name in relation.modalities for relation in relations):
            raise UserError(f"no relation given names the modality '{modality.name}'; give one")
        graph = self.data.with_modality(modality)
        for relation in relations:
            graph = graph.with_relation(relation)
        data: MultimodalHypergraph | Split = graph
        if self.split is not None:
            held_out_of = self.split.relation
            if held_out_of in (relation.name for relation in relations):
                raise UserError(
                    f"hyperedges of '{held_out_of}' are held out; split the new one, and "
                    "HyperLearn(split).begin_with(model)"
                )
            data = Split(graph, held_out_of, self.split.valid, self.split.test)
        config = config or self.config.model_copy(update={"placement": {}})
        larger = HyperLearn(data, config, comm=self.comm)
        return larger.begin_with(self, reset_rows=reset_rows)

    def save(self, path: str | Path) -> Path:
        """Write what was learned as safetensors, whole or not at all; a collective call."""
        states, learned = self.learner.states(), self.learned
        run_on_rank0(
            self.comm,
            lambda: write_saved(
                Path(path), self.data, self.config, states, learned, self.best, self.past
            ),
        )
        return Path(path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        data: MultimodalHypergraph | Split,
        *,
        comm: Communicator | None = None,
    ) -> HyperLearn:
        """What `save` wrote, with the data that it was learned from (or more modalities).

        Where it was trained does not matter: of the saved config, placement and device are left
        out, and modalities are placed by size on what is here. The split may be another one, but
        what it holds out is not scored then if it was trained on: see `evaluate`.

        Raises UserError if it is damaged, or of other modalities.
        """
        saved = read_saved(Path(path))
        anywhere = saved.config.model_copy(update={"placement": {}, "device": "auto"})
        model = cls(data, anywhere, comm=comm)
        run_on_all(model.comm, lambda: model._take_saved(saved))
        model.best = saved.best
        return model

    def begin_with(
        self, other: HyperLearn | str | Path, *, reset_rows: Collection[str] = ()
    ) -> HyperLearn:
        """Let the modalities of another model, or of a saved one, begin where it stands; self.

        A modality of this one that the other, if it was trained, knows nothing of is a newcomer.
        In a relation that was there without it, it begins at one, which leaves what is predicted
        as it was, but for the spread of its first rows. `fit` trains newcomers alone at first,
        then all at a rate that rises (`config.join`): the first steps of a fresh optimiser would
        undo much of what others know. A model that was trained itself has no newcomers.
        A collective call.

        Args:
            reset_rows: modalities whose items' own rows begin anew, the encoder of their features
                where it stands. Rows that explain all of their hyperedges leave the encoder little
                to learn of a newcomer, which items without hyperedges then lack (warm starts can
                generalise worse: Ash and Adams, NeurIPS 2020).

        Raises UserError if it has one that is missing here, or of another size, if it was trained
        on what is held out here, and if a modality of `reset_rows` is unknown.
        """
        if isinstance(other, HyperLearn):
            states = other.learner.states()
            run_on_all(self.comm, lambda: self._take(other, states, reset_rows))
        else:
            saved_at = Path(other)
            run_on_all(self.comm, lambda: self._take_saved(read_saved(saved_at), reset_rows))
        run_on_all(self.comm, self._check_past)
        return self

    @property
    def past(self) -> TrainingHistory:
        """What it was trained on, here or before it was loaded or begun with."""
        here, before = self.data.relations.values(), self.learner.past
        return (
            before.and_then(TrainingHistory.of(here, before)) if self.learner.iterations else before
        )

    def _check_past(self) -> None:
        if self.split is not None:
            for part in (self.split.valid, self.split.test):
                check_not_trained_on(part, self.split, self.learner.past)

    def _take(
        self, other: HyperLearn, states: dict[str, State], reset_rows: Collection[str]
    ) -> None:
        check_items("the other model", items_of(other.data), self.data)
        self._take_on(states, other.data.relation_names, other.past, reset_rows)

    def _take_saved(self, saved: Saved, reset_rows: Collection[str] = ()) -> None:
        check_items(str(saved.path), saved.items, self.data)
        self._take_on(saved.states, saved.relations_of, saved.past, reset_rows)

    def _take_on(
        self,
        states: dict[str, State],
        relations_of: Mapping[str, Sequence[str]],
        past: TrainingHistory,
        reset_rows: Collection[str],
    ) -> None:
        self.learner.load(states, relations_of, reset_rows)
        self.learner.take_on_past(past, reset_rows)
        self.learner.init_newcomers(
            {relation for name in states for relation in relations_of[name]}
        )
        self._learned = None

    def _held_out(self, part: str) -> HeldOutHyperedges | None:
        if self.split is None:
            return None
        parts = {"valid": self.split.valid, "test": self.split.test}
        if not parts[part].num_hyperedges:
            return None
        check_not_trained_on(parts[part], self.split, self.learner.past)
        train = self.data.relation(self.split.relation)
        found = held_out(parts[part], train, *parts.values())
        return replace(found, mean=self.learner.past.mean_of(train))

    def _relation(self, name: str | None) -> Relation:
        if name is not None:
            return self.data.relation(name)
        if len(self.data.relations) > 1:
            raise UserError(f"which relation? there are {', '.join(self.data.relations)}")
        return next(iter(self.data.relations.values()))

    def _answers(self) -> Answers:
        return Answers(self.data, self.learned, self.learner.past)
