"""The validation scores of a run, the evaluator process that makes them, and early stopping."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.signals import blocked_signals
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.evaluator import REFUSED, RoundScorer, best_score

MAX_RESTARTS = 3  # of the evaluator, in one run
TERMINATE_S = 5.0  # from SIGTERM to SIGKILL for the evaluator


class Scores:
    """The validation scores of a run, and early stopping.

    Depends on `evaluate.mode`: `follow` starts the evaluator process and reads its scores, `inline`
    scores in this process, and `final` scores at the end only.
    """

    def __init__(self, config: TrainConfig, run: RunFolder, metric: BestMetric):
        self.config, self.run, self.metric = config, run, metric
        self.seen = sum(e["kind"] == "score" and e["part"] == "valid" for e in run.events())
        seen = run.score_events()[: self.seen]
        self.best, self.since_best = best_score(run, metric, seen)
        self.restarts_left = MAX_RESTARTS
        self.scorer = RoundScorer(run) if config.evaluate.mode == "inline" else None
        self.process = self._start_evaluator() if config.evaluate.mode == "follow" else None

    def _start_evaluator(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "hvdtma.training.evaluator", str(self.run.path)]
        command.append(str(os.getpid()))
        with (self.run.path / "evaluator.log").open("a") as log, blocked_signals(signal.SIGUSR2):
            # A new session: Linux divides the cores between sessions (autogroup). In the same
            # session, the evaluator would use rank 0's share.
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # for plug-ins
            )

    def after_round(self, number: int) -> list[dict]:
        """The new scores. In mode `inline`, score this round if one is due."""
        if self.scorer and number % self.config.evaluate.every == 0:
            self.scorer.score_newest()
        if self.process and self.process.poll() is not None:
            self._restart_evaluator()
        return self.new_events()

    def _restart_evaluator(self) -> None:
        """Restart an evaluator that ended early, unless it refused or too many restarts failed."""
        assert self.process is not None
        log = self.run.path / "evaluator.log"
        refused = self.process.returncode == REFUSED
        restart = self.restarts_left > 0 and not refused
        why = log.read_text().strip().rpartition("\n")[2] if refused else f"see {log}"
        console.print(
            f"[yellow]the evaluator ended early ({escape(why)}); "
            + ("it is restarted" if restart else "the remaining rounds are scored at the end")
        )
        self.restarts_left -= restart
        self.process = self._start_evaluator() if restart else None

    def new_events(self) -> list[dict]:
        """The scores that were not returned before."""
        events = self.run.score_events()[self.seen :]
        self.seen += len(events)
        for event in events:
            self.since_best += 1
            score = self.metric.order(event["metrics"])
            if score > self.best:
                self.best, self.since_best = score, 0
        return events

    @property
    def stop_early(self) -> bool:
        """Whether to stop early: no better score for `patience` scored rounds, or no evaluator."""
        patience = self.config.evaluate.patience
        no_scorer = self.process is None and self.scorer is None
        return bool(patience) and (no_scorer or self.since_best >= patience)

    def finish(self, last_round: int, say: Callable[[str], None]) -> list[dict]:
        """Wait until the last round is scored, whatever the mode; returns the unseen scores.

        Args:
            say: called with the progress in words.
        """
        self.run.done.touch()
        follows = self.config.evaluate.mode == "follow"
        waiting = ""
        if self.process and last_round not in self._scored_rounds():
            waiting = scoring_text(last_round, "validation", left=1)
            say(waiting)
        failed = follows and (self.process is None or self.process.wait() != 0)
        scored = self._scored_rounds()
        numbers = {int(path.stem): path for path in self.run.round_files()}
        todo = [n for n in numbers if n not in scored and (failed or n == last_round)]
        if todo:
            scorer = self.scorer or RoundScorer(self.run)
            for at, number in enumerate(todo):
                text = scoring_text(number, "validation", left=len(todo) - at)
                if text != waiting or at:  # the same text, if the evaluator failed on this round
                    say(text)
                scorer.score(numbers[number])
        return self.new_events()

    def _scored_rounds(self) -> set[int]:
        return {event["round"] for event in self.run.score_events()}

    def stop(self) -> None:
        """End the evaluator process at once."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=TERMINATE_S)
            except subprocess.TimeoutExpired:  # it inherits SIGTERM ignored from this process
                self.process.kill()
                self.process.wait()


def scoring_text(number: int, part: str, *, left: int) -> str:
    """The progress of scoring at the end of a run, as text."""
    return f"scoring round {number} on {part} ({f'{left} more to score' if left else 'the last'})"


def skipped_rounds(run: RunFolder, rounds: int, every: int) -> list[int]:
    """The rounds that were due for scoring, but were never scored."""
    scored = {event["round"] for event in run.score_events()}
    due = set(np.arange(every, rounds + 1, every).tolist()) | ({rounds} if rounds else set())
    return sorted(due - scored)
