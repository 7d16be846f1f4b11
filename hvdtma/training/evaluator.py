"""The evaluator: a process of its own that scores aggregated models on the validation part.

It scores the newest round and skips the rounds that pass meanwhile. Trainers never wait for it.
Started by rank 0 as `python -m hvdtma.training.evaluator RUN PID` with rank 0's process id.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hvdtma.core.compute_threads import set_compute_threads
from hvdtma.core.errors import UserError
from hvdtma.evaluation.score import Scorer
from hvdtma.graph.store import open_store
from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.run_folder import RunFolder, read_model, round_of, write_model
from hvdtma.tasks import best_metric, make_model, make_task

POLL_S = 0.1
REFUSED = 2  # exit status after a UserError: a restart would fail in the same way


def best_score(run: RunFolder, metric: BestMetric, scored: list[dict]) -> tuple[float, int]:
    """The best score so far by `BestMetric.order`, and the number of scores since then.

    A round must exceed it to become the best. It is the score of the round whose parameters are
    saved as the best. That round may have been chosen by another metric, but the parameters of
    other rounds may be deleted. Without scores, it is -inf.

    Args:
        scored: the score events so far.
    """
    kept = round_of(run.best)
    indices = range(len(scored) if kept else 0)
    of_kept = [index for index in indices if scored[index]["round"] == kept] or indices
    scores = [metric.order(event["metrics"]) for event in scored]
    best = max(of_kept, key=scores.__getitem__, default=None)
    return (float("-inf"), 0) if best is None else (scores[best], len(scored) - 1 - best)


class RoundScorer:
    """Scores rounds on the validation part, logs the scores and saves the best parameters.

    Args:
        active: called before a score is logged; the score is dropped if it returns false.
    """

    def __init__(self, run: RunFolder, active: Callable[[], bool] = lambda: True):
        self.run, self.config, self.active = run, run.config(), active
        store = open_store(self.config.store)
        run.check_same(store)
        task = make_task(self.config, store)
        self.model = make_model(self.config, store, task)
        self.scorer = Scorer(self.config, store)
        self.metric = best_metric(self.config, task)
        scored = run.score_events()  # by an evaluator that died, or before a resumption
        self.best = best_score(run, self.metric, scored)[0]
        self.last_round = max((event["round"] for event in scored), default=0)

    def score(self, path: Path) -> None:
        """Score the parameters of one round. Does nothing if the file was deleted meanwhile."""
        try:
            facts = read_model(path, self.model)
        except FileNotFoundError:
            return
        start = time.monotonic()
        metrics, facts, beside = self._better_of_both(path, facts)
        if not self.active():
            return
        number = int(facts["round"])
        first = not self.run.best.is_file()  # saved even if its score is not a number
        if first or self.metric.order(metrics) > self.best:
            self.best = self.metric.order(metrics)
            write_model(self.run.best, self.model, **facts)
        self.run.add_score(
            {
                "kind": "score",
                "part": "valid",
                "round": number,
                "time_s": float(facts["time_s"]),
                "metrics": metrics,
                **beside,
                "score_s": time.monotonic() - start,
            },
        )
        self.last_round = number

    def _better_of_both(
        self, path: Path, facts: dict[str, str]
    ) -> tuple[dict[str, float], dict[str, str], dict[str, object]]:
        """Score the parameters of a round and their mean over rounds, if there is one.

        The model has the better ones of both afterwards. Returns their metrics and facts, and what
        to say of the others: whether the mean `is_mean` better, and the metrics `beside` it.
        """
        metrics = self.scorer(self.model, "valid")
        own = {name: value.clone() for name, value in self.model.state_dict().items()}
        try:
            mean_facts = read_model(self.run.mean_of(path), self.model)
        except FileNotFoundError:
            return metrics, facts, {}
        of_mean = self.scorer(self.model, "valid")
        if self.metric.order(of_mean) > self.metric.order(metrics):
            return of_mean, mean_facts, {"is_mean": True, "beside": metrics}
        self.model.load_state_dict(own)
        return metrics, facts, {"is_mean": False, "beside": of_mean}

    def score_newest(self, every: int | None = None) -> bool:
        """Score the newest round that is due, unless it was scored before.

        Args:
            every: every how many rounds one is due; None: `evaluate.every` of the config.

        Returns whether a round was scored.
        """
        every = every or self.config.evaluate.every
        due = [path for path in self.run.round_files() if int(path.stem) % every == 0]
        if not due or int(due[-1].stem) <= self.last_round:
            return False
        self.score(due[-1])
        return True


def follow(run: RunFolder, parent: int) -> None:
    """Score rounds until the run is done and its last round is scored, or `parent` has ended."""

    def has_parent() -> bool:  # if rank 0 is killed, nobody marks the run as done
        return os.getppid() == parent

    scorer = RoundScorer(run, has_parent)
    while has_parent():
        done = run.done.exists()  # before files are listed: a round may be added
        if not scorer.score_newest(every=1 if done else None):
            if done:
                return
            time.sleep(POLL_S)


def main() -> None:
    """Score the run that is named on the command line."""
    run = RunFolder.open(sys.argv[1])
    set_compute_threads(run.config().evaluate.threads)
    try:
        follow(run, int(sys.argv[2]))
    except UserError as error:
        sys.stderr.write(f"evaluator: {error}\n")
        raise SystemExit(REFUSED) from error


if __name__ == "__main__":
    main()
