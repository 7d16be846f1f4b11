"""Timed averaging: trainers step on their own; when a round is over, their updates are averaged.

One small collective announces (arrival, weight, losses), one flat one carries the updates; the
weight travels with the update, so a trainer that did nothing in a round counts for nothing. The
equation stands in `hvdtma.aggregate.aggregator`.

Legend: M trainers, P parameters in the flat buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

import torch
from torch import nn

from hvdtma.aggregate.aggregator import Aggregator, RoundState, Summed, shares
from hvdtma.aggregate.average import Average
from hvdtma.aggregate.flat import FlatModel, FlatOptimizer
from hvdtma.aggregate.round import (
    ANNOUNCED,
    ARRIVED,
    BAD_STEP,
    EXAMPLES,
    LOSS_SUM,
    NEWCOMERS,
    STEPS,
    TRAIN_S,
    WANTED_STOP,
    WEIGHT,
    Aggregation,
    NonFiniteLoss,
    Round,
    Stop,
)
from hvdtma.aggregate.state import COUNTERS, GlobalState, RankState
from hvdtma.comm.communicator import Communicator
from hvdtma.comm.launch import join_trainers
from hvdtma.core.errors import UserError

LOSS_CHECK_STEPS = 64  # on a GPU, reading a loss waits for it: look at many at once
NAP_S = 0.2  # of a trainer that sits a round out, between looks at whether it is interrupted


class TimedAveraging:
    """Averages a model's parameters between trainers each time a round is over.

        averaging = TimedAveraging(model, optimizer, interval_s=60, rounds=10)
        while averaging.running:
            loss = ...; loss.backward(); optimizer.step(); optimizer.zero_grad()
            averaging.step(loss, examples=len(batch))

    The first look at `running` brings trainer 0's parameters to all. Rounds end by the clock, on a
    grid of `interval_s` from a common start, so trainers of different speed take different
    numbers of steps and nobody waits longer than another's last step; or after
    `interval_steps` steps. With one trainer and plain averaging, parameters are never touched.

    Args:
        model: its parameters and buffers are averaged (integer buffers rounded).
        optimizer: the trainer's own; needed for `optimizer_state` reset and average.
        interval_s: seconds between aggregations, or
        interval_steps: steps between aggregations.
        rounds: stop after so many (None: not).
        time_limit_s: stop at the first aggregation after so long (None: not).
        weight: this trainer's weight in the mean, not negative; e.g. its training edges.
        optimizer_state: keep | reset | average.
        aggregator: combines the updates; None is `Average()`, their weighted mean.
        comm: None: the communicator of this process's launcher (`hvdtma.comm.launch`): Horovod,
            torch.distributed, or one process alone.

    Raises UserError for intervals that are not positive and unknown choices; TrainerError where
    the trainers that the launcher started cannot be reached. The calls that average raise
    `NonFiniteLoss` on every trainer when one trainer's loss is not finite, UserError when
    `optimizer_state` cannot be averaged, and TrainerLost when another trainer ended. Steps
    before the start raise UserError.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        interval_s: float | None = None,
        interval_steps: int | None = None,
        rounds: int | None = None,
        time_limit_s: float | None = None,
        weight: float = 1.0,
        optimizer_state: Literal["keep", "reset", "average"] = "keep",
        aggregator: Aggregator | None = None,
        comm: Communicator | None = None,
    ):
        _check_interval(interval_s, interval_steps)
        if optimizer_state not in ("keep", "reset", "average"):
            raise UserError(f"optimizer_state is '{optimizer_state}'; valid: keep, reset, average")
        if not 0 <= weight < float("inf"):
            raise UserError(f"weight is {weight}; it must be a finite number, not negative")
        if optimizer_state != "keep" and optimizer is None:
            raise UserError(f"optimizer_state '{optimizer_state}' needs the optimizer")
        self.comm, self.weight = comm or join_trainers(), weight
        self.interval_s, self.interval_steps = interval_s, interval_steps
        self.max_rounds, self.time_limit_s = rounds, time_limit_s
        self.flat = FlatModel(model)
        self.optimizer_state = optimizer_state
        self.flat_optimizer = FlatOptimizer(optimizer)
        self.model = model
        self.aggregator: Aggregator = aggregator or Average()
        self.rounds_done = 0
        self.next_grid = 1  # the next round ends at so many intervals from the start
        self.steps_done = self.examples_done = 0
        self.train_s = self.wait_s = self.aggregate_s = 0.0
        self.stopped = Stop.NOT
        self.wanted_stop = Stop.NOT
        self.newcomers = False  # whether any waited at the last aggregation
        self.last: Aggregation | None = None
        self.theta_P = self.flat.read()
        self.started = False  # until all have begun: then theta and the clock are everybody's
        self.began = self.ended = self.comm.clock()
        self.round = Round(self.began)

    @property
    def running(self) -> bool:
        """Whether there is another round; starts the first one when first asked."""
        if not self.started:
            self.start()
        return self.stopped is Stop.NOT

    def start(self) -> None:
        """Take trainer 0's parameters, and start everybody's clock together.

        Raises TrainerLost if a trainer ended before it; then it may be called again.
        """
        self.theta_P = self.flat.read()
        if self.comm.size > 1:
            self.theta_P = self.comm.broadcast_object(self.theta_P.cpu()).to(self.theta_P.device)
            self.flat.write(self.theta_P)
        self.comm.all_gather(torch.zeros(1))  # a barrier
        self.began = self.ended = self.comm.clock()
        self.started = True
        self.begin_round(self.began)

    def stop(self, reason: Stop = Stop.EARLY) -> None:
        """Ask for the end; every trainer stops at the next aggregation.

        `Stop.INTERRUPTED` ends the round at once, and nothing is averaged: the trainers stop in
        the middle of it, to go on another time; no other reason takes its place. May be called by
        a signal handler.
        """
        self.wanted_stop = max(self.wanted_stop, reason)

    def step(self, loss: torch.Tensor | None = None, examples: int = 1) -> Aggregation | None:
        """Count an optimiser step; if that ends the round, aggregate and say what that did."""
        self.record_step(loss, examples)
        return self.aggregate() if self.due else None

    def record_step(self, loss: torch.Tensor | None = None, examples: int = 1) -> None:
        """Count an optimiser step. `loss` is a scalar; it is checked for NaN and reported.

        Raises UserError before the start, which would undo the step.
        """
        if not self.started:
            raise UserError("ask `running`, or call start(), before the first step")
        now = self.round
        now.steps += 1
        now.examples += examples
        if loss is not None:
            now.pending.append(loss.detach())
            if not loss.is_cuda or len(now.pending) >= LOSS_CHECK_STEPS:
                now.flush_losses(self.steps_done)

    @property
    def due(self) -> bool:
        """Whether the round is over. It is at once if a loss was not finite, or interrupted."""
        if self.round.bad_step or self.wanted_stop is Stop.INTERRUPTED:
            return True
        if self.interval_steps is not None:
            return self.round.steps >= self.interval_steps
        return self.comm.clock() >= self.deadline

    @property
    def deadline(self) -> float:
        """When this round ends, on the communicator's clock; infinite when steps are counted."""
        if self.interval_s is None or self.interval_steps is not None:
            return float("inf")
        limit_s = float("inf") if self.time_limit_s is None else self.time_limit_s
        return self.began + min(self.next_grid * self.interval_s, limit_s)

    @property
    def elapsed_s(self) -> float:
        """From the common start to the end of the last aggregation."""
        return self.ended - self.began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside is not counted as training: reading a new shard, writing, scoring."""
        start = self.comm.clock()
        yield
        self.round.began += self.comm.clock() - start

    def wait_until_now(self, since: float) -> None:
        """Let the time since `since`, on this trainer's clock, not have been."""
        passed_s = self.comm.clock() - since
        self.began, self.ended = self.began + passed_s, self.ended + passed_s
        self.round.began += passed_s

    def skip_round(self) -> None:
        """For a trainer with nothing to train on: let the round pass."""
        while self.interval_steps is None and not self.due:
            self.comm.sleep_until(min(self.deadline, self.comm.clock() + NAP_S))

    def global_state(self) -> GlobalState:
        """The part of the state that is the same on every trainer."""
        return GlobalState(
            self.theta_P.cpu(),
            {
                k: v.cpu() if torch.is_tensor(v) else v
                for k, v in self.aggregator.state_dict().items()
            },
            self.rounds_done,
            self.next_grid,
            self.comm.clock() - self.began,
            self.elapsed_s,
            self.last,
            self.stopped,
            self.started,
        )

    def load_global_state(self, state: GlobalState, *, known_at: float | None = None) -> None:
        """Continue from a state, at the beginning of its round.

        Args:
            known_at: when the state was so, on this trainer's clock; None: now.
        """
        now = self.comm.clock() if known_at is None else known_at
        device = self.theta_P.device
        self.theta_P = state.theta_P.to(device)
        self.flat.write(self.theta_P)
        self.aggregator.load_state_dict(
            {k: v.to(device) if torch.is_tensor(v) else v for k, v in state.aggregator.items()}
        )
        self.rounds_done, self.next_grid = state.rounds_done, state.next_grid
        self.began = now - state.clock_s
        self.ended = self.began + state.elapsed_s
        self.last, self.stopped, self.started = state.last, state.stopped, state.started
        self.begin_round(self.comm.clock())

    def rank_state(self) -> RankState:
        """This trainer's own part of the state."""
        now = self.round
        now.flush_losses(self.steps_done)
        return RankState(
            self.flat.read().cpu(),
            now.steps,
            now.examples,
            now.loss_sum,
            self.comm.clock() - now.began,
            {name: getattr(self, name) for name in COUNTERS},
        )

    def load_rank_state(self, state: RankState) -> None:
        """Continue in the middle of a round; after `load_global_state`."""
        self.flat.write(state.local_P.to(self.theta_P.device))
        began = self.comm.clock() - state.round_s
        self.round = Round(began, state.steps, state.examples, state.loss_sum)
        for name, value in state.counters.items():
            setattr(self, name, value)

    def state_dict(self) -> dict[str, Any]:
        """The whole state of this trainer: tensors, numbers and strings, for `torch.save`.

        The trainer's optimizer is not part of it.
        """
        return {"global": self.global_state().as_dict(), "rank": vars(self.rank_state())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`, with the same number of trainers; each loads its own."""
        self.load_global_state(GlobalState.from_dict(state["global"]))
        self.load_rank_state(RankState(**state["rank"]))

    @torch.no_grad()
    def aggregate(self) -> Aggregation | None:
        """Average the trainers' updates; a collective call. None: interrupted, nothing is done.

        Raises TrainerLost if a trainer ended before it. Then what this one did in the round is
        still there, for another try among those who are left.
        """
        if not self.started:
            self.start()
        arrived = self.comm.clock()
        self.round.flush_losses(self.steps_done)
        rows_MS = self.comm.all_gather(self._announcement(arrived)).double()
        announced = self.comm.clock()
        self._raise_if_not_finite(rows_MS)
        if int(rows_MS[:, WANTED_STOP].max()) == Stop.INTERRUPTED:
            self.stopped = Stop.INTERRUPTED
            return None
        weights_M = shares(rows_MS[:, WEIGHT])
        self._average(float(weights_M[self.comm.rank]), weights_M)
        finished = self.comm.clock()
        self.rounds_done += 1
        self.steps_done += self.round.steps
        self.examples_done += self.round.examples
        self.ended = finished
        self.train_s += arrived - self.round.began
        self.wait_s += announced - arrived
        self.aggregate_s += finished - announced
        self._decide_stop(rows_MS)
        if self.interval_s is not None:  # rounds that a slow one ran over are left out
            self.next_grid = int(float(rows_MS[:, ARRIVED].max()) // self.interval_s) + 1
        self.newcomers = bool(rows_MS[:, NEWCOMERS].any())
        self.last = Aggregation.of(rows_MS, weights_M, self.rounds_done, finished - announced)
        self.begin_round(finished)
        return self.last

    def begin_round(self, now: float) -> None:
        """Begin a round at `now`, on the communicator's clock."""
        self.round = Round(now)
        self.aggregator.begin_round(self.model, self.round_state())

    def round_state(self) -> RoundState:
        """The round under way, as the aggregator sees it."""
        comm, flat = self.comm, self.flat
        return RoundState(
            self.rounds_done + 1, comm.rank, comm.size, flat.layout, flat.num_parameters, comm
        )

    def _announcement(self, arrived: float) -> torch.Tensor:
        now = self.round
        first = self.comm.elastic and self.comm.rank == 0
        row = torch.zeros(len(ANNOUNCED), dtype=torch.float64)
        row[ARRIVED] = arrived - self.began
        row[WEIGHT] = self.weight if now.steps and not now.bad_step else 0.0
        row[STEPS] = now.steps
        row[EXAMPLES] = now.examples
        row[LOSS_SUM] = now.loss_sum
        row[TRAIN_S] = arrived - now.began
        row[WANTED_STOP] = int(self.wanted_stop)
        row[BAD_STEP] = now.bad_step
        row[NEWCOMERS] = first and self.comm.newcomers_wait()
        return row

    def _average(self, share: float, weights_M: torch.Tensor) -> None:
        """One flat collective; then parameters, and perhaps optimizer state, are replaced."""
        alone = self.comm.size == 1 and self.aggregator.exact_alone
        if not float(weights_M.sum()):
            self.flat.write(self.theta_P)  # 0/0 leaves theta
        elif not alone:
            self._exchange(share, weights_M)
        self.aggregator.after_round(self.model, self.round_state())
        self.theta_P = self.flat.read()
        if not torch.isfinite(self.theta_P).all():
            self._diverged()
        if self.optimizer_state == "reset" and not alone:
            self.flat_optimizer.reset()

    def _exchange(self, share: float, weights_M: torch.Tensor) -> None:
        """Sum every trainer's contribution, and write the next parameters."""
        theta_P, state = self.theta_P, self.round_state()
        update_P = torch.zeros_like(theta_P)
        if share:  # else its parameters may be anything
            update_P = self.flat.read() - theta_P
        numerator_P, denominator = self.aggregator.contribute(update_P, share, state)
        optimizer = self._state_to_average(share, weights_M)
        summed = self.comm.all_reduce(torch.cat([numerator_P, denominator, optimizer]))
        if not torch.isfinite(summed).all():  # the same bits everywhere: all raise
            self._diverged()
        numerator_P, denominator, optimizer = summed.split(
            [len(numerator_P), len(denominator), len(optimizer)]
        )
        self.flat.write(self.aggregator.combine(Summed(numerator_P, denominator), theta_P, state))
        if 0 < len(optimizer) == self.flat_optimizer.size:  # else it has none to put it into yet
            self.flat_optimizer.write(optimizer)

    def _diverged(self) -> NoReturn:
        self.stopped = Stop.NAN_LOSS
        raise NonFiniteLoss(
            f"parameters were not finite at the end of round {self.rounds_done + 1}; "
            f"the last good round is {self.rounds_done}. Try a smaller optimizer.lr"
        )

    def _state_to_average(self, share: float, weights_M: torch.Tensor) -> torch.Tensor:
        """This trainer's part of the averaged state; zeros if it did nothing, and may have none."""
        if self.optimizer_state != "average":
            return self.theta_P.new_zeros(0)
        size_M = torch.tensor(self.comm.all_gather_object(self.flat_optimizer.size))
        sizes = set(size_M[weights_M > 0].tolist())
        if len(sizes) > 1:
            raise UserError(
                "optimizer_state 'average' needs the same state on every trainer, but they are of "
                f"{', '.join(map(str, sorted(sizes)))} values: some parameters had no gradient on "
                "one of them; use keep"
            )
        if not share:
            return self.theta_P.new_zeros(sizes.pop())
        return share * self.flat_optimizer.read().to(self.theta_P)

    def _raise_if_not_finite(self, rows_MS: torch.Tensor) -> None:
        bad_M = rows_MS[:, BAD_STEP]
        if bad_M.any():
            trainer = int(torch.nonzero(bad_M)[0])
            self.stopped = Stop.NAN_LOSS
            raise NonFiniteLoss(
                f"the loss of trainer {trainer} was not finite at its step {int(bad_M[trainer])}; "
                f"the last good round is {self.rounds_done}. Try a smaller optimizer.lr, "
                "optimizer.clip_norm, or look for extreme features"
            )

    def _decide_stop(self, rows_MS: torch.Tensor) -> None:
        """The same decision on every trainer: from numbers all have seen."""
        wanted = int(rows_MS[:, WANTED_STOP].max())
        if wanted:
            self.stopped = Stop(wanted)
        elif self.max_rounds is not None and self.rounds_done >= self.max_rounds:
            self.stopped = Stop.ROUNDS
        elif self.time_limit_s is not None and float(rows_MS[0, ARRIVED]) >= self.time_limit_s:
            self.stopped = Stop.TIME_LIMIT


def _check_interval(interval_s: float | None, interval_steps: int | None) -> None:
    if interval_s is None and interval_steps is None:
        raise UserError("give interval_s (seconds) or interval_steps between aggregations")
    for name, value in (("interval_s", interval_s), ("interval_steps", interval_steps)):
        if value is not None and value <= 0:
            raise UserError(f"{name} is {value}; it must be above 0")
