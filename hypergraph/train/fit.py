"""The loop: iterate, exchange, score, stop.

Legend: n hyperedges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hvdtma.errors import UserError
from hypergraph.data import Relation
from hypergraph.metrics import LEAST_IS_BEST, completion, errors, product_scorer
from hypergraph.train.learner import Factors, Learner

Watch = Callable[[dict], object]
"""Is told of events: plain values with a `kind`."""


@dataclass(frozen=True)
class HeldOut:
    """Hyperedges to score on, and what is known besides.

    Attributes:
        relation: the held-out hyperedges.
        known: hyperedges of the relation that are true, of whatever part.
        mean: of the training values, for valued relations.
    """

    relation: Relation
    known: Sequence[np.ndarray] = ()
    mean: float = 0.0

    def sample(self, most: int, seed: int) -> HeldOut:
        """At most so many of the hyperedges, the same ones for a seed; 0 takes all."""
        count = self.relation.num_hyperedges
        if not most or count <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(count)[:most])
        return HeldOut(self.relation.take(rows), (*self.known, self.relation.indices), self.mean)

    @property
    def metric(self) -> str:
        """The metric that chooses, where the config names none."""
        return "mrr" if self.relation.values is None else "rmse"


def score(factors: Factors, held_out: HeldOut) -> dict[str, float]:
    """RMSE and MAE of valued hyperedges; filtered MRR, Hits@k and average precision of others."""
    relation = held_out.relation
    names = relation.modalities
    scores_of = product_scorer(factors.rows, factors.biases, names)
    if relation.values is not None:
        return errors(predict(factors, relation) + held_out.mean, relation.values)
    known = [relation.indices, *held_out.known]
    sizes = [len(factors.biases[name]) for name in names]
    return completion(scores_of, relation.indices, known, names, sizes)


def predict(factors: Factors, relation: Relation) -> np.ndarray:
    """Scores [n] of a relation's hyperedges, without the mean."""
    product: np.ndarray | float = 1.0
    bias_n = np.zeros(relation.num_hyperedges)
    for k, name in enumerate(relation.modalities):
        product = product * factors.rows[name][relation.indices[:, k]]
        bias_n += factors.biases[name][relation.indices[:, k]]
    return np.asarray(product).sum(1) + bias_n


@dataclass
class Fit:
    """Trains a learner to the end; every rank calls `run`.

    Args:
        valid: to score on; None scores nothing, and keeps the last factors.
        watch: called on rank 0.

    Attributes:
        best_score, best_iteration: of the state that the learner ends in.
        stopped: why it ended.
    """

    learner: Learner
    valid: HeldOut | None = None
    watch: Watch = lambda _: None
    best_score: dict[str, float] = field(default_factory=dict)
    best_iteration: int = 0
    stopped: str = ""

    def __post_init__(self) -> None:
        config = self.learner.config
        if config.evaluate.patience and self.valid is None:
            raise UserError("evaluate.patience needs validation hyperedges; split the relation")
        self._since_best = 0
        if self.valid is not None:
            self.valid = self.valid.sample(config.evaluate.max_hyperedges, config.seed)

    def run(self) -> None:
        """Train until a limit or the patience is reached; the learner is left in its best state."""
        config, comm = self.learner.config, self.learner.comm
        comm.gather(None)  # a barrier: all clocks start together
        self._began = self._deadline = comm.clock()
        scored = 0
        while not self.stopped:
            if config.stale:
                self.learner.hear()
                losses = self._by_itself()
                done = min(comm.gather(self.learner.iterations))
            else:
                losses = self.learner.iterate()
                done = self.learner.iterations
            over = config.iterations is not None and done >= config.iterations
            if over or done // config.evaluate.every > scored:
                scored = done // config.evaluate.every
                self._look(losses, done, over)
        self.learner.recall()

    def _by_itself(self) -> dict[str, float]:
        """Iterations until the next exchange; at least one."""
        config, learner = self.learner.config, self.learner
        begun = learner.iterations
        self._deadline += config.exchange_s or 0.0
        while True:
            losses = learner.iterate()
            done = config.iterations is not None and learner.iterations >= config.iterations
            if config.exchange_steps is not None:
                due = learner.iterations - begun >= config.exchange_steps
            else:
                due = learner.comm.clock() >= self._deadline
            if done or due:
                return losses

    def _look(self, losses: dict[str, float], done: int, over: bool) -> None:
        """Score, keep the best, decide whether to stop; a collective call."""
        comm, config = self.learner.comm, self.learner.config
        time_s = comm.clock() - self._began
        facts = comm.gather((losses, self._facts()))
        factors = self.learner.factors()
        metrics: dict[str, float] = {}
        if comm.rank == 0:
            merged = {name: value for part, _ in reversed(facts) for name, value in part.items()}
            metrics = score(factors, self.valid) if self.valid is not None else {}
            event = {
                "kind": "iterations",
                "iteration": done,
                "time_s": time_s,
                "loss": float(sum(merged.values())),
                "losses": merged,
                "valid": metrics,
                "ranks": [fact for _, fact in facts],
            }
            self.watch(event)
        metrics, time_s = comm.broadcast((metrics, time_s))
        self._keep_best(metrics, done)
        limit_s = config.time_limit_s
        if over:
            self.stopped = "iterations"
        elif limit_s is not None and time_s >= limit_s:
            self.stopped = "time limit"
        elif config.evaluate.patience and self._since_best >= config.evaluate.patience:
            self.stopped = "early stopping"

    def _keep_best(self, metrics: dict[str, float], done: int) -> None:
        better = (
            not metrics
            or not self.best_score
            or self._value(metrics) > self._value(self.best_score)
        )
        self._since_best = 0 if better else self._since_best + 1
        if better:
            self.best_score, self.best_iteration = metrics, done
            self.learner.remember()

    def _value(self, metrics: dict[str, float]) -> float:
        """Of the metric that chooses: more is better."""
        assert self.valid is not None
        name = self.learner.config.evaluate.metric or self.valid.metric
        if name not in metrics:
            raise UserError(f"there is no metric '{name}'; valid: {', '.join(metrics)}")
        return -metrics[name] if name in LEAST_IS_BEST else metrics[name]

    def _facts(self) -> dict[str, float]:
        learner = self.learner
        return {
            "iterations": learner.iterations,
            "compute_s": learner.compute_s,
            "exchange_s": learner.exchange_s,
            "bytes_sent": learner.exchange.bytes_sent,
        }


def held_out(part: Relation, train: Relation, *others: Relation) -> HeldOut:
    """A held-out part of a relation, all of which is known to the filter."""
    mean = 0.0 if train.values is None else float(train.values.mean())
    return HeldOut(part, [train.indices, *(other.indices for other in others)], mean)
