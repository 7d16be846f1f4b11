"""Timed averaging: trainers take steps independently and average their updates after each round.

An aggregation is two collectives. A small one announces arrival times, weights and losses. A large
one sums the updates, as one flat vector. A trainer without a step in a round has weight 0. The
equation is in `hvdtma.aggregate.aggregator`.

Legend: M trainers, P values in the flat vector, S announced values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, Self

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from hvdtma.aggregate.aggregator import (
    Aggregator,
    RoundState,
    Summed,
    check_aggregator_object,
    combined,
    contribution_of,
    shares,
)
from hvdtma.aggregate.average import Average
from hvdtma.aggregate.flat import FlatModel, FlatOptimizer
from hvdtma.aggregate.round import (
    ANNOUNCED,
    ARRIVED,
    BAD_STEP,
    EXAMPLES,
    FINISHED,
    LOSS_SUM,
    NEWCOMERS,
    STEPS,
    STOP_REQUEST,
    TRAIN_S,
    WEIGHT,
    Aggregation,
    NonFiniteLoss,
    Round,
    Stop,
)
from hvdtma.aggregate.state import COUNTERS, GlobalState, RankState
from hvdtma.comm.communicator import Communicator
from hvdtma.comm.join import join_trainers
from hvdtma.core.bounds import check_not_negative, check_positive, check_whole
from hvdtma.core.errors import UserError

LOSS_CHECK_STEPS = 64  # reading a loss waits for the GPU, so many losses are read together
POLL_S = 0.2  # how often a trainer that skips a round checks for an interruption


class TimedAveraging:
    """Averages a model's parameters between trainers at the end of each round.

        averaging = TimedAveraging(model, optimizer, interval_s=60, rounds=10)
        while averaging.running:
            loss = ...; loss.backward(); optimizer.step(); optimizer.zero_grad()
            averaging.step(loss, examples=len(batch))

    The first access to `running` broadcasts rank 0's parameters and starts a common clock. Rounds
    end by this clock, every `interval_s` seconds: trainers of different speed take different
    numbers of steps, and no trainer waits longer than another one's last step takes. With
    `interval_steps`, rounds end after that many steps instead. With one trainer and plain
    averaging, the parameters are never changed.

    In a `with` block, each step of `optimizer` is counted by a hook, so that a loop needs no other
    change. When the block ends, the trainer takes part in aggregations until every trainer's block
    has ended; all have equal parameters then:

        with TimedAveraging(model, optimizer, interval_s=60):
            for batch in loader:
                ...; loss.backward(); optimizer.step(); optimizer.zero_grad()

    With `rounds` or `time_limit_s`, a loop ends with `while averaging.running`, or leaves with
    `break`; a step after the last round raises UserError. The hook knows no losses: those of the
    outcomes are NaN, and a loss that is not finite is found in the parameters.

    Args:
        model: its parameters and buffers are averaged (integer buffers are rounded).
        optimizer: this trainer's optimizer; required in a `with` block, and if `optimizer_state` is
            reset or average.
        interval_s: seconds between aggregations.
        interval_steps: steps between aggregations, in place of `interval_s`.
        rounds: number of rounds to train; None: no limit.
        time_limit_s: stop at the first aggregation after this many seconds; None: no limit.
        weight: this trainer's weight in the mean, at least 0; for example its training edges.
        optimizer_state: after an aggregation, `keep` the optimizer's state, `reset` it, or
            `average` it between trainers.
        aggregator: combines the updates; None: `Average()`, their weighted mean.
        frozen: names of the model's parameters that are not trained: they are not exchanged, and no
            aggregator changes them.
        mean_decay: decay per round of an exponential mean of the aggregated parameters, `mean_P`;
            0: none.
        comm: None: the communicator of this process's launcher (`hvdtma.comm.join`): Horovod,
            torch.distributed, or a single process.

    Raises UserError for numbers out of bounds, unknown choices, and an `aggregator` that does not
    keep the contract; TrainerError where the trainers that the launcher started cannot be reached.
    The calls that average raise `NonFiniteLoss` on every trainer when one trainer's loss is not
    finite, UserError when `optimizer_state` cannot be averaged or the aggregator returns tensors of
    wrong shapes, and TrainerLost when another trainer has ended. Steps before the start, and calls
    that count steps in a `with` block, raise UserError.
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
        frozen: Collection[str] = (),
        mean_decay: float = 0.0,
        comm: Communicator | None = None,
    ):
        check_not_negative("mean_decay", mean_decay, below=1)
        _check_numbers(interval_s, interval_steps, rounds, time_limit_s, weight)
        if optimizer_state not in ("keep", "reset", "average"):
            raise UserError(f"optimizer_state is '{optimizer_state}'; valid: keep, reset, average")
        if optimizer_state != "keep" and optimizer is None:
            raise UserError(f"optimizer_state '{optimizer_state}' needs the optimizer")
        if aggregator is not None:
            check_aggregator_object(aggregator)
        self.comm, self.weight = comm or join_trainers(), weight
        self.interval_s, self.interval_steps = interval_s, interval_steps
        self.max_rounds, self.time_limit_s = rounds, time_limit_s
        self.flat = FlatModel(model, frozen)
        self.optimizer_state = optimizer_state
        self.flat_optimizer = FlatOptimizer(optimizer)
        self.model, self.optimizer = model, optimizer
        self.finished = False  # whether this trainer's loop has ended
        self._hook: RemovableHandle | None = None  # in a `with` block
        self.aggregator: Aggregator = aggregator or Average()
        self.rounds_done = 0
        self.mean_steps = 0.0  # as `GlobalState.mean_steps`
        self.deadline_intervals = 1  # from the common start to the round's deadline
        self.steps_done = self.examples_done = 0
        self.train_s = self.wait_s = self.aggregate_s = 0.0
        self.stopped = Stop.NOT
        self.stop_request = Stop.NOT
        self.newcomers = False  # whether any trainer waited to join at the last aggregation
        self.last: Aggregation | None = None
        self.mean_decay = mean_decay
        self.mean_P: torch.Tensor | None = None
        self.theta_P = self.flat.read()
        self.started = False  # from the common start on, theta and the clock are common to all
        self.began = self.ended = self.comm.clock()
        self.round = Round(self.began)

    @property
    def running(self) -> bool:
        """Whether there is another round. The first access starts the first round."""
        if not self.started:
            self.start()
        return self.stopped is Stop.NOT

    def start(self) -> None:
        """Take rank 0's parameters and start the common clock. Collective.

        Raises TrainerLost if another trainer has ended; the call may then be repeated.
        """
        self.theta_P = self.flat.read()
        if self.comm.size > 1:
            self.theta_P = self.comm.broadcast_object(self.theta_P.cpu()).to(self.theta_P.device)
            self.flat.write(self.theta_P)
        self.comm.all_gather(torch.zeros(1))  # a barrier
        self.began = self.ended = self.comm.clock()
        self.started = True
        self.begin_round(self.began)

    def __enter__(self) -> Self:
        """Start, and count each step of the optimizer until the block ends. Collective."""
        if self.optimizer is None:
            raise UserError("`with TimedAveraging(...)` needs the optimizer, whose steps it counts")
        if self._hook is not None:
            raise UserError("this averaging is in a `with` block already")
        if not self.running:
            raise UserError(f"this averaging is over ({self.stopped.words}); make another one")
        self._hook = self.optimizer.register_step_post_hook(self._after_optimizer_step)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Remove the hook; without an error, wait for the other trainers (`finish`)."""
        assert self._hook is not None
        self._hook.remove()
        self._hook = None
        if kind is None:
            self.finish()

    def finish(self) -> None:
        """Take part in aggregations, without steps, until every trainer has finished. Collective.

        For trainers whose own loops end at different times.
        """
        self.finished = True
        while self.running:
            self.aggregate()

    def _after_optimizer_step(self, *_: object) -> None:
        if self.stopped is not Stop.NOT:
            raise UserError(
                f"training is over after round {self.rounds_done} ({self.stopped.words}), and this "
                "optimizer step would not be averaged; leave the loop when `averaging.running` is "
                "false, or give neither rounds nor time_limit_s"
            )
        self._count_step(None, 1)
        if self.due:
            self.aggregate()

    def stop(self, reason: Stop = Stop.EARLY) -> None:
        """Request the end of training. All trainers stop at the next aggregation.

        `Stop.INTERRUPTED` takes precedence over other reasons. It ends the round at once and
        averages nothing: the trainers stop in the middle of the round, and the run can resume
        there. May be called by a signal handler.
        """
        self.stop_request = max(self.stop_request, reason)

    def step(self, loss: torch.Tensor | None = None, examples: int = 1) -> Aggregation | None:
        """Count an optimizer step. If it ends the round, aggregate and return the outcome."""
        self.record_step(loss, examples)
        return self.aggregate() if self.due else None

    def record_step(self, loss: torch.Tensor | None = None, examples: int = 1) -> None:
        """Count an optimizer step.

        Args:
            loss: a scalar, which is reported and checked for NaN.
            examples: number of examples in the batch.

        Raises UserError before the start, which would overwrite the step's result.
        """
        if not self.started:
            raise UserError("use `while averaging.running`, or call start(), before the first step")
        if self._hook is not None:
            raise UserError(
                "the `with` block counts each optimizer step; leave out step() and record_step()"
            )
        self._count_step(loss, examples)

    def _count_step(self, loss: torch.Tensor | None, examples: int) -> None:
        now = self.round
        now.steps += 1
        now.examples += examples
        if loss is not None:
            now.pending.append(loss.detach())
            if not loss.is_cuda or len(now.pending) >= LOSS_CHECK_STEPS:
                now.flush_losses(self.steps_done)

    @property
    def due(self) -> bool:
        """Whether the round is over; at once after a non-finite loss or an interruption."""
        if self.round.bad_step or self.stop_request is Stop.INTERRUPTED:
            return True
        if self.interval_steps is not None:
            return self.round.steps >= self.interval_steps
        return self.comm.clock() >= self.deadline

    @property
    def deadline(self) -> float:
        """The end of this round on the communicator's clock; infinite with `interval_steps`."""
        if self.interval_s is None or self.interval_steps is not None:
            return float("inf")
        limit_s = float("inf") if self.time_limit_s is None else self.time_limit_s
        return self.began + min(self.deadline_intervals * self.interval_s, limit_s)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the common start to the end of the last aggregation."""
        return self.ended - self.began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time inside from training time, e.g. for reading a shard or writing files."""
        start = self.comm.clock()
        try:
            yield
        finally:
            self.round.began += self.comm.clock() - start

    def exclude_time_since(self, since: float) -> None:
        """Shift all clocks, as if no time had passed since `since` on this trainer's clock."""
        passed_s = self.comm.clock() - since
        self.began, self.ended = self.began + passed_s, self.ended + passed_s
        self.round.began += passed_s

    def skip_round(self) -> None:
        """Wait until the round is over: for a trainer that has no examples."""
        while self.interval_steps is None and not self.due:
            self.comm.sleep_until(min(self.deadline, self.comm.clock() + POLL_S))

    def global_state(self) -> GlobalState:
        """The part of the state that is the same on every trainer."""
        return GlobalState(
            self.theta_P.cpu(),
            {
                k: v.cpu() if torch.is_tensor(v) else v
                for k, v in self.aggregator.state_dict().items()
            },
            self.rounds_done,
            self.deadline_intervals,
            self.comm.clock() - self.began,
            self.elapsed_s,
            self.last,
            self.stopped,
            self.started,
            None if self.mean_P is None else self.mean_P.cpu(),
            self.mean_steps,
        )

    def load_global_state(self, state: GlobalState, *, known_at: float | None = None) -> None:
        """Restore the global state, at the beginning of its round.

        Args:
            known_at: time on this trainer's clock at which the state was taken; None: now.

        Raises UserError for the state of another model.
        """
        self.flat.check_size(state.theta_P)
        now = self.comm.clock() if known_at is None else known_at
        device = self.theta_P.device
        self.theta_P = state.theta_P.to(device)
        self.mean_P = None if state.mean_P is None else state.mean_P.to(device)
        self.flat.write(self.theta_P)
        self.aggregator.load_state_dict(
            {k: v.to(device) if torch.is_tensor(v) else v for k, v in state.aggregator.items()}
        )
        self.rounds_done, self.deadline_intervals = state.rounds_done, state.deadline_intervals
        self.mean_steps = state.mean_steps
        self.began = now - state.clock_s
        self.ended = self.began + state.elapsed_s
        self.last, self.stopped, self.started = state.last, state.stopped, state.started
        self.begin_round(self.comm.clock())

    def rank_state(self) -> RankState:
        """The part of the state that belongs to this trainer."""
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
        """Restore this trainer's state, in mid-round. Call `load_global_state` first.

        Raises UserError for the state of another model.
        """
        self.flat.check_size(state.local_P)
        self.flat.write(state.local_P.to(self.theta_P.device))
        began = self.comm.clock() - state.round_s
        self.round = Round(began, state.steps, state.examples, state.loss_sum)
        for name, value in state.counters.items():
            setattr(self, name, value)

    def state_dict(self) -> dict[str, Any]:
        """The whole state: tensors, numbers and strings, for `torch.save`.

        It does not contain the state of the trainer's optimizer.
        """
        return {"global": self.global_state().as_dict(), "rank": vars(self.rank_state())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a `state_dict`. Each of the same number of trainers loads its own.

        Raises UserError for the state of another model, or of something else; then nothing has
        changed.
        """
        if missing := {"global", "rank"} - state.keys():
            raise UserError(
                f"this is not a state of TimedAveraging: it has no '{min(missing)}'; its keys are "
                f"{', '.join(map(str, state)) or 'none'}"
            )
        of_all, of_rank = GlobalState.from_dict(state["global"]), RankState(**state["rank"])
        for values in (of_all.theta_P, of_rank.local_P):
            self.flat.check_size(values)
        self.load_global_state(of_all)
        self.load_rank_state(of_rank)

    def count_mean_steps(self, steps_M: Sequence[float]) -> None:
        """Add a round to `mean_steps`."""
        taken = [steps for steps in steps_M if steps]
        self.mean_steps += sum(taken) / max(len(taken), 1)

    @torch.no_grad()
    def aggregate(self) -> Aggregation | None:
        """Average the trainers' updates. Collective. Returns None if training is interrupted.

        Raises TrainerLost if another trainer has ended. This trainer's progress in the round is
        kept, so that the remaining trainers can aggregate again.
        """
        if not self.started:
            self.start()
        arrived = self.comm.clock()
        self.round.flush_losses(self.steps_done)
        rows_MS = self.comm.all_gather(self._announcement(arrived)).double()
        announced = self.comm.clock()
        self._raise_if_not_finite(rows_MS)
        if int(rows_MS[:, STOP_REQUEST].max()) == Stop.INTERRUPTED:
            self.stopped = Stop.INTERRUPTED
            return None
        weights_M = shares(rows_MS[:, WEIGHT])
        self._average(float(weights_M[self.comm.rank]), weights_M)
        finished = self.comm.clock()
        self.rounds_done += 1
        self.count_mean_steps(rows_MS[:, STEPS].tolist())
        self.steps_done += self.round.steps
        self.examples_done += self.round.examples
        self.ended = finished
        self.train_s += arrived - self.round.began
        self.wait_s += announced - arrived
        self.aggregate_s += finished - announced
        self._decide_stop(rows_MS)
        if self.interval_s is not None:  # skips intervals that a slow trainer missed
            self.deadline_intervals = int(float(rows_MS[:, ARRIVED].max()) // self.interval_s) + 1
        self.newcomers = bool(rows_MS[:, NEWCOMERS].any())
        self.last = Aggregation.of(rows_MS, weights_M, self.rounds_done, finished - announced)
        self.begin_round(finished)
        return self.last

    def begin_round(self, now: float) -> None:
        """Begin a round at `now`, on the communicator's clock."""
        self.round = Round(now)
        self.aggregator.begin_round(self.model, self.round_state())

    def round_state(self) -> RoundState:
        """The facts of the current round, for the aggregator."""
        comm, flat = self.comm, self.flat
        return RoundState(
            self.rounds_done + 1, comm.rank, comm.size, flat.layout, flat.num_parameters, comm
        )

    def _announcement(self, arrived: float) -> torch.Tensor:
        """The row of this trainer, float64 [S]."""
        now = self.round
        sees_newcomers = self.comm.elastic and self.comm.rank == 0
        row = torch.zeros(len(ANNOUNCED), dtype=torch.float64)
        row[ARRIVED] = arrived - self.began
        row[WEIGHT] = self.weight if now.steps and not now.bad_step else 0.0
        row[STEPS] = now.steps
        row[EXAMPLES] = now.examples
        row[LOSS_SUM] = now.loss_sum if now.has_losses else torch.nan
        row[TRAIN_S] = arrived - now.began
        row[STOP_REQUEST] = int(self.stop_request)
        row[BAD_STEP] = now.bad_step
        row[NEWCOMERS] = sees_newcomers and self.comm.newcomers_wait()
        row[FINISHED] = self.finished
        return row

    def _average(self, share: float, weights_M: torch.Tensor) -> None:
        """Replace the parameters and, if configured, the optimizer's state."""
        alone = self.comm.size == 1 and getattr(self.aggregator, "exact_alone", False)
        if not float(weights_M.sum()):
            self.flat.write(self.theta_P)  # 0/0: no trainer took a step
        elif not alone:
            self._exchange(share, weights_M)
        self.aggregator.after_round(self.model, self.round_state())
        self.theta_P = self.flat.read()
        if not torch.isfinite(self.theta_P).all():
            self._diverged()
        if self.mean_decay:
            before = self.theta_P if self.mean_P is None else self.mean_P
            self.mean_P = torch.lerp(self.theta_P, before, self.mean_decay)
        if self.optimizer_state == "reset" and not alone:
            self.flat_optimizer.reset()

    def _exchange(self, share: float, weights_M: torch.Tensor) -> None:
        """Sum the trainers' contributions in one collective, and write the new parameters."""
        theta_P, state = self.theta_P, self.round_state()
        update_P = torch.zeros_like(theta_P)
        if share:  # otherwise the parameters may not be finite
            update_P = self.flat.read() - theta_P
        numerator_P, denominator = contribution_of(self.aggregator, update_P, share, state)
        by_value = len(denominator) > 1
        if by_value:
            denominator = self.flat.exchanged(denominator)
        optimizer = self._weighted_optimizer_state(share, weights_M)
        sent = [self.flat.exchanged(numerator_P), denominator, optimizer]
        summed = self.comm.all_reduce(torch.cat(sent))
        if not torch.isfinite(summed).all():  # the sum is the same on all ranks: all raise
            self._diverged()
        numerator, denominator, optimizer = summed.split([len(each) for each in sent])
        received = Summed(
            self.flat.spread(numerator),
            self.flat.spread(denominator) if by_value else denominator,
        )
        next_P = combined(self.aggregator, received, theta_P, state)
        self.flat.write(self.flat.with_frozen(next_P, theta_P))
        if (
            0 < len(optimizer) == self.flat_optimizer.size
        ):  # a trainer without a step has no state yet
            self.flat_optimizer.write(optimizer)

    def _diverged(self) -> NoReturn:
        self.stopped = Stop.NAN_LOSS
        raise NonFiniteLoss(
            f"parameters were not finite at the end of round {self.rounds_done + 1}; "
            f"the last good round is {self.rounds_done}. Try a smaller optimizer.lr"
        )

    def _weighted_optimizer_state(self, share: float, weights_M: torch.Tensor) -> torch.Tensor:
        """This trainer's summand of the averaged optimizer state; zeros if it took no step."""
        if self.optimizer_state != "average":
            return self.theta_P.new_zeros(0)
        size_M = torch.tensor(self.comm.all_gather_object(self.flat_optimizer.size))
        sizes = set(size_M[weights_M > 0].tolist())
        if len(sizes) > 1:
            raise UserError(
                "optimizer_state 'average' needs states of the same size on every trainer, but "
                f"they have {', '.join(map(str, sorted(sizes)))} values: some parameters had no "
                "gradient on one trainer. Use optimizer_state 'keep'"
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
        """Decide whether to stop: the same decision on every trainer, from the announced rows."""
        request = int(rows_MS[:, STOP_REQUEST].max())
        if request:
            self.stopped = Stop(request)
        elif self.max_rounds is not None and self.rounds_done >= self.max_rounds:
            self.stopped = Stop.ROUNDS
        elif self.time_limit_s is not None and float(rows_MS[0, ARRIVED]) >= self.time_limit_s:
            self.stopped = Stop.TIME_LIMIT
        elif rows_MS[:, FINISHED].all():
            self.stopped = Stop.FINISHED


def _check_numbers(
    interval_s: float | None,
    interval_steps: int | None,
    rounds: int | None,
    time_limit_s: float | None,
    weight: float,
) -> None:
    """Raise UserError for a number out of its bounds, and if there is no interval."""
    if interval_s is None and interval_steps is None:
        raise UserError("set interval_s (seconds) or interval_steps between aggregations")
    for name, seconds in (("interval_s", interval_s), ("time_limit_s", time_limit_s)):
        if seconds is not None:
            check_positive(name, seconds)
    for name, number in (("interval_steps", interval_steps), ("rounds", rounds)):
        if number is not None:
            check_whole(name, number, least=1)
    check_not_negative("weight", weight)
