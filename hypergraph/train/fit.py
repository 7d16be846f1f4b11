"""The training loop: iterate, exchange, score, save, stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np

from hvdtma.comm.communicator import run_on_rank0
from hvdtma.core.errors import UserError, nearest
from hypergraph.config import HyperLearnConfig
from hypergraph.factors import Factors
from hypergraph.metrics import LEAST_IS_BEST
from hypergraph.scoring import HeldOutHyperedges, score
from hypergraph.train.rank_trainer import ModalityFactors, RankTrainer

EventListener = Callable[[dict], object]
"""Called with events: plain values with a `kind`."""
RankReport = tuple[dict[str, float], dict[str, float], dict[str, ModalityFactors]]
"""Losses, counters and factors of a rank."""
INTERRUPTED = "interrupted"


@dataclass
class FitProgress:
    """The progress of a fit.

    Attributes:
        first_iteration: iterations that the trainer had done before; None: not started.
        time_s: seconds of training, without scoring.
        best_score, best_iteration: of the state that the trainer keeps and ends in.
        scored_on: number of validation hyperedges. If it changes when a run is resumed, later
            scores are not compared with earlier ones.
        since_best: scores since the best one.
        stopped: why the fit ended; empty before.
    """

    first_iteration: int | None = None
    time_s: float = 0.0
    best_score: dict[str, float] = field(default_factory=dict)
    best_iteration: int = 0
    scored_on: int = 0
    since_best: int = 0
    stopped: str = ""


ProgressListener = Callable[[FitProgress], object]
"""Called with the progress of a fit after every score and at the end, on every rank."""


@dataclass
class Fit:
    """Trains to the end; every rank calls `run`.

    Args:
        valid: the hyperedges to score; None: nothing is scored, and the last factors are kept.
        on_event: called on rank 0.
        progress: the progress of an interrupted fit, to continue it.
    """

    trainer: RankTrainer
    valid: HeldOutHyperedges | None = None
    on_event: EventListener = lambda _: None
    on_progress: ProgressListener = lambda _: None
    progress: FitProgress = field(default_factory=FitProgress)

    def __post_init__(self) -> None:
        config = self.trainer.config
        check_validation(config, self.valid)
        if self.valid is not None:
            self.valid = self.valid.sample(config.evaluate.max_hyperedges, config.seed)

    def run(self) -> None:
        """Train until a limit or the patience is reached, and restore the best state. Collective.

        If a rank requests a stop (`RankTrainer.request_stop`), the last state is kept, to be
        resumed from.
        """
        trainer, progress = self.trainer, self.progress
        config, comm = trainer.config, trainer.comm
        is_new = progress.first_iteration is None
        done = min(comm.all_gather_object(trainer.iterations))  # all clocks start after this
        progress.first_iteration = done if is_new else progress.first_iteration
        self._started = comm.clock() - progress.time_s
        if is_new and self._starts_trained:
            self._score({}, done, is_last=False)
        scores = done // config.evaluate.every  # by the slowest rank: ranks must score together
        if config.stale and not progress.stopped:
            trainer.sync_factors()
        while not progress.stopped:
            independent = config.stale and not trainer.joining
            losses, done = self._iterate_independently() if independent else self._iterate_in_step()
            is_last = done >= self._last
            is_scored = is_last or done // config.evaluate.every > scores
            if is_scored:
                scores = done // config.evaluate.every
                self._score(losses, done, is_last)
            if trainer.exchange.stopping and not progress.stopped:
                progress.stopped = INTERRUPTED
            if is_scored or progress.stopped:
                progress.time_s = comm.clock() - self._started
                self.on_progress(progress)
        trainer.clear_stop()
        if progress.stopped != INTERRUPTED:
            trainer.restore()

    @property
    def _starts_trained(self) -> bool:
        """Whether the initial factors are scored, and kept until a better score.

        Not with new modalities: they are to be learned even if no score improves.
        """
        trainer = self.trainer
        was_trained = bool(trainer.history.trained_on)
        return self.valid is not None and was_trained and not trainer.newcomers

    @property
    def _last(self) -> float:
        """The iteration to stop after."""
        iterations = self.trainer.config.iterations
        return inf if iterations is None else (self.progress.first_iteration or 0) + iterations

    def _iterate_in_step(self) -> tuple[dict[str, float], int]:
        """One iteration of all ranks in step: its losses, and the iterations done."""
        losses = self.trainer.iterate()
        if self.trainer.config.stale and not self.trainer.joining:
            self.trainer.sync_factors()  # the next iterations are independent
        return losses, self.trainer.iterations

    def _iterate_independently(self) -> tuple[dict[str, float], int]:
        """Iterate until the next exchange: the last losses, and the iterations all have done."""
        config, trainer = self.trainer.config, self.trainer
        first, deadline = trainer.iterations, trainer.comm.clock() + (config.exchange_s or 0.0)
        while True:
            losses = trainer.iterate()
            if config.exchange_steps is not None:
                due = trainer.iterations - first >= config.exchange_steps
            else:  # other ranks do not wait long: a signal usually reaches all of them
                due = trainer.comm.clock() >= deadline or trainer.exchange.stop_requested
            if due or trainer.iterations >= self._last:
                trainer.sync_factors()
                return losses, min(trainer.comm.all_gather_object(trainer.iterations))

    def _score(self, losses: dict[str, float], done: int, is_last: bool) -> None:
        """Score, keep the best state, decide whether to stop. Collective."""
        comm, config = self.trainer.comm, self.trainer.config
        before = comm.clock()
        time_s = before - self._started
        reports = comm.gather_object((losses, self.trainer.counters(), self.trainer.own_factors()))
        metrics, time_s = run_on_rank0(comm, lambda: self._metrics(reports, done, time_s))
        self._keep_best(metrics, done)
        limit_s = config.time_limit_s
        if is_last:
            self.progress.stopped = "iterations"
        elif limit_s is not None and time_s >= limit_s:
            self.progress.stopped = "time limit"
        elif 0 < config.evaluate.patience <= self.progress.since_best:
            self.progress.stopped = "early stopping"
        self._started += comm.clock() - before

    def _metrics(
        self, reports: list[RankReport], done: int, time_s: float
    ) -> tuple[dict[str, float], float]:
        """The validation metrics, empty without such hyperedges, and the time; on rank 0."""
        losses = {name: value for part, *_ in reversed(reports) for name, value in part.items()}
        factors = self.trainer.merged([factors for *_, factors in reports])
        _check_finite(losses, factors, done)
        metrics = score(factors, self.valid) if self.valid is not None else {}
        _check_metric(self.trainer.config.evaluate.metric, metrics)
        self.on_event(
            {
                "kind": "iterations",
                "iteration": done,
                "time_s": time_s,
                "loss": float(sum(losses.values())),
                "losses": losses,
                "valid": metrics,
                "ranks": [counters for _, counters, _ in reports],
            }
        )
        return metrics, time_s

    def _keep_best(self, metrics: dict[str, float], done: int) -> None:
        progress = self.progress
        scored_on = 0 if self.valid is None else self.valid.relation.num_hyperedges
        is_better = (
            not metrics
            or not progress.best_score
            or scored_on != progress.scored_on
            or self._value(metrics) > self._value(progress.best_score)
        )
        progress.scored_on = scored_on
        joining = self.trainer.joining  # the score may not change while new modalities join
        progress.since_best = 0 if is_better or joining else progress.since_best + 1
        if is_better:
            progress.best_score, progress.best_iteration = metrics, done
            self.trainer.snapshot()

    def _value(self, metrics: dict[str, float]) -> float:
        """The value of the metric that chooses the best state; higher is better."""
        assert self.valid is not None
        name = self.trainer.config.evaluate.metric or self.valid.metric
        return -metrics[name] if name in LEAST_IS_BEST else metrics[name]


def check_validation(config: HyperLearnConfig, valid: HeldOutHyperedges | None) -> None:
    """Raises UserError if the patience or the metric of the config cannot be used."""
    if config.evaluate.patience and valid is None:
        raise UserError(
            "evaluate.patience needs validation hyperedges; split the relation (data.valid)"
        )
    metric, metrics = config.evaluate.metric, [] if valid is None else valid.metrics
    if metric is not None and valid is not None and metric not in metrics:
        raise UserError(f"evaluate.metric is '{metric}'; {nearest(metric, metrics)}")


def _check_metric(metric: str | None, metrics: dict[str, float]) -> None:
    """Raises UserError if the metric of the config has no value on the validation hyperedges."""
    if metric is not None and metrics and metric not in metrics:
        raise UserError(
            f"evaluate.metric is '{metric}', which these validation hyperedges do not have: every "
            f"item completes each of them to a true hyperedge; valid: {', '.join(metrics)}"
        )


def _check_finite(losses: dict[str, float], factors: Factors, done: int) -> None:
    """Raises UserError if training has diverged."""
    diverged = [name for name, value in losses.items() if not np.isfinite(value)]
    if diverged or not factors.are_finite:
        what = f"the loss '{diverged[0]}' is" if diverged else "factors are"
        raise UserError(
            f"{what} no longer finite after iteration {done}; lower optimizer.lr or "
            "optimizer.clip_norm, or look for extreme values and features"
        )


def still_stopped(config: HyperLearnConfig, progress: FitProgress, iterations: int) -> str:
    """The reason why an ended fit would not continue under the limits of a config; else empty."""
    limit_s, patience = config.time_limit_s, config.evaluate.patience
    done = iterations - (progress.first_iteration or 0)
    holds = {
        "iterations": config.iterations is not None and done >= config.iterations,
        "time limit": limit_s is not None and progress.time_s >= limit_s,
        "early stopping": 0 < patience <= progress.since_best,
    }
    return progress.stopped if holds.get(progress.stopped) else ""
