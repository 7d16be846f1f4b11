"""The loop: iterate, exchange, score, save, stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np

from hvdtma.comm.communicator import run_on_rank0
from hvdtma.core.errors import UserError, nearest
from hypergraph.config import TrainConfig
from hypergraph.factors import Factors
from hypergraph.metrics import LEAST_IS_BEST
from hypergraph.scoring import HeldOutHyperedges, score
from hypergraph.train.rank_trainer import Learned, RankTrainer

Callback = Callable[[dict], object]
"""Is told of events: plain values with a `kind`."""
Facts = tuple[dict[str, float], dict[str, float], dict[str, Learned]]
"""Of a rank: its losses, its counters, what it has learned."""
INTERRUPTED = "interrupted"


@dataclass
class FitProgress:
    """How far a fit has come.

    Attributes:
        begun: iterations that the learner had done before; None: it has not begun.
        time_s: of training, without scoring.
        best_score, best_iteration: of the state that the learner keeps, and ends in.
        scored_on: how many validation hyperedges; scores of another number, after a resumption,
            are compared among themselves only.
        since_best: scores since then.
        stopped: why it ended; empty before.
    """

    begun: int | None = None
    time_s: float = 0.0
    best_score: dict[str, float] = field(default_factory=dict)
    best_iteration: int = 0
    scored_on: int = 0
    since_best: int = 0
    stopped: str = ""


Save = Callable[[FitProgress], object]
"""Is told how far a fit has come after every score, and when it ends; on every rank."""


@dataclass
class Fit:
    """Trains a learner to the end; every rank calls `run`.

    Args:
        valid: to score on; None scores nothing, and keeps the last factors.
        watch: called on rank 0.
        progress: of a fit that was cut short, to go on with.
    """

    learner: RankTrainer
    valid: HeldOutHyperedges | None = None
    watch: Callback = lambda _: None
    save: Save = lambda _: None
    progress: FitProgress = field(default_factory=FitProgress)

    def __post_init__(self) -> None:
        config = self.learner.config
        check_scores(config, self.valid)
        if self.valid is not None:
            self.valid = self.valid.sample(config.evaluate.max_hyperedges, config.seed)

    def run(self) -> None:
        """Train until a limit or the patience is reached; the learner is left in its best state.

        Or until a rank asks to stop (`RankTrainer.stop`): then it is left as it is, to go on from.
        """
        config, comm, progress = self.learner.config, self.learner.comm, self.progress
        begins = progress.begun is None
        done = min(
            comm.all_gather_object(self.learner.iterations)
        )  # then all clocks start together
        progress.begun = done if progress.begun is None else progress.begun
        self._began = comm.clock() - progress.time_s
        if begins and self._knows:
            self._look({}, done, over=False)
        scored = done // config.evaluate.every  # of what all have done: ranks must look together
        if config.stale and not progress.stopped:
            self.learner.sync_factors()
        while not progress.stopped:
            apart = config.stale and not self.learner.alone
            losses, done = self._by_itself() if apart else self._together()
            over = done >= self._last
            looked = over or done // config.evaluate.every > scored
            if looked:
                scored = done // config.evaluate.every
                self._look(losses, done, over)
            if self.learner.told and not progress.stopped:
                progress.stopped = INTERRUPTED
            if looked or progress.stopped:
                progress.time_s = comm.clock() - self._began
                self.save(progress)
        self.learner.heeded()
        if progress.stopped != INTERRUPTED:
            self.learner.restore()

    @property
    def _knows(self) -> bool:
        """Whether it begins with what was learned, which is kept until training betters it.

        With newcomers it does not: if they better nothing that is scored, they are to be learned.
        """
        learner = self.learner
        return self.valid is not None and bool(learner.past.trained_on) and not learner.newcomers

    @property
    def _last(self) -> float:
        """The iteration to stop after."""
        iterations = self.learner.config.iterations
        return inf if iterations is None else (self.progress.begun or 0) + iterations

    def _together(self) -> tuple[dict[str, float], int]:
        """One iteration of all ranks in step; its losses, and how many are done."""
        losses = self.learner.iterate()
        if self.learner.config.stale and not self.learner.alone:
            self.learner.sync_factors()  # from now on each goes by itself
        return losses, self.learner.iterations

    def _by_itself(self) -> tuple[dict[str, float], int]:
        """Iterations, at least one, and an exchange; the last losses, how many all have done."""
        config, learner = self.learner.config, self.learner
        begun, deadline = learner.iterations, learner.comm.clock() + (config.exchange_s or 0.0)
        while True:
            losses = learner.iterate()
            if config.exchange_steps is not None:
                due = learner.iterations - begun >= config.exchange_steps
            else:  # nor do others wait long, whom the same signal tells
                due = learner.comm.clock() >= deadline or learner.asked
            if due or learner.iterations >= self._last:
                learner.sync_factors()
                return losses, min(learner.comm.all_gather_object(learner.iterations))

    def _look(self, losses: dict[str, float], done: int, over: bool) -> None:
        """Score, keep the best, decide whether to stop; a collective call."""
        comm, config = self.learner.comm, self.learner.config
        before = comm.clock()
        time_s = before - self._began
        facts = comm.gather_object((losses, self.learner.counters(), self.learner.learned()))
        metrics, time_s = run_on_rank0(comm, lambda: self._scored(facts, done, time_s))
        self._keep_best(metrics, done)
        limit_s = config.time_limit_s
        if over:
            self.progress.stopped = "iterations"
        elif limit_s is not None and time_s >= limit_s:
            self.progress.stopped = "time limit"
        elif 0 < config.evaluate.patience <= self.progress.since_best:
            self.progress.stopped = "early stopping"
        self._began += comm.clock() - before

    def _scored(
        self, facts: list[Facts], done: int, time_s: float
    ) -> tuple[dict[str, float], float]:
        """The validation metrics, empty without such hyperedges, and the time; on rank 0."""
        losses = {name: value for part, *_ in reversed(facts) for name, value in part.items()}
        factors = self.learner.joined([learned for *_, learned in facts])
        _check_finite(losses, factors, done)
        metrics = score(factors, self.valid) if self.valid is not None else {}
        _check_chooses(self.learner.config.evaluate.metric, metrics)
        self.watch(
            {
                "kind": "iterations",
                "iteration": done,
                "time_s": time_s,
                "loss": float(sum(losses.values())),
                "losses": losses,
                "valid": metrics,
                "ranks": [counters for _, counters, _ in facts],
            }
        )
        return metrics, time_s

    def _keep_best(self, metrics: dict[str, float], done: int) -> None:
        progress = self.progress
        before, progress.scored_on = progress.scored_on, self._scored_on
        better = (
            not metrics
            or not progress.best_score
            or progress.scored_on != before
            or self._value(metrics) > self._value(progress.best_score)
        )
        alone = self.learner.alone  # what is scored may stand still
        progress.since_best = 0 if better or alone else progress.since_best + 1
        if better:
            progress.best_score, progress.best_iteration = metrics, done
            self.learner.snapshot()

    @property
    def _scored_on(self) -> int:
        """How many hyperedges: of a seed, the same ones for a number."""
        return 0 if self.valid is None else self.valid.relation.num_hyperedges

    def _value(self, metrics: dict[str, float]) -> float:
        """Of the metric that chooses: more is better."""
        assert self.valid is not None
        name = self.learner.config.evaluate.metric or self.valid.metric
        return -metrics[name] if name in LEAST_IS_BEST else metrics[name]


def check_scores(config: TrainConfig, valid: HeldOutHyperedges | None) -> None:
    """Raises UserError where what is to choose, or to stop, cannot: before anything is trained."""
    if config.evaluate.patience and valid is None:
        raise UserError(
            "evaluate.patience needs validation hyperedges; split the relation (data.valid)"
        )
    metric, valids = config.evaluate.metric, [] if valid is None else valid.metrics
    if metric is not None and valid is not None and metric not in valids:
        raise UserError(f"evaluate.metric is '{metric}'; {nearest(metric, valids)}")


def _check_chooses(metric: str | None, metrics: dict[str, float]) -> None:
    """Raises UserError if the metric that is to choose has no value on these hyperedges."""
    if metric is not None and metrics and metric not in metrics:
        raise UserError(
            f"evaluate.metric is '{metric}', which these validation hyperedges do not have: every "
            f"item completes each of them to a known hyperedge; valid: {', '.join(metrics)}"
        )


def _check_finite(losses: dict[str, float], factors: Factors, done: int) -> None:
    """Raises UserError when training has gone astray."""
    astray = [name for name, value in losses.items() if not np.isfinite(value)]
    if astray or not factors.are_finite:
        what = f"the loss '{astray[0]}' is" if astray else "factors are"
        raise UserError(
            f"{what} no longer finite after iteration {done}; lower optimizer.lr or "
            "optimizer.clip_norm, or look for extreme values and features"
        )


def still_stopped(config: TrainConfig, progress: FitProgress, iterations: int) -> str:
    """Why a fit that ended would not go on, with limits that may be others now; else empty."""
    limit_s, patience = config.time_limit_s, config.evaluate.patience
    holds = {
        "iterations": config.iterations is not None
        and iterations - (progress.begun or 0) >= config.iterations,
        "time limit": limit_s is not None and progress.time_s >= limit_s,
        "early stopping": 0 < patience <= progress.since_best,
    }
    return progress.stopped if holds.get(progress.stopped) else ""
