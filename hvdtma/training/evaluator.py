"""The evaluator: a process of its own that scores each aggregated model on validation.

It takes the newest round first; rounds that pass while it works are skipped and listed. Trainers
never wait for it. Run as `python -m hvdtma.training.evaluator RUN PID`, PID being trainer 0.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import torch

from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.evaluation.score import Scorer
from hvdtma.graph.store import open_store
from hvdtma.runs.folder import read_lines
from hvdtma.runs.run_folder import RunFolder, read_model, round_of, write_model
from hvdtma.tasks import make_model, make_task

POLL_S = 0.1
REFUSED = 2  # exit status: what is wrong is said in one line, and would be met again


def best_score(run: RunFolder, metric: str, scored: list[dict]) -> tuple[float, int]:
    """What the next rounds have to beat, and how many of `scored` came after it; -inf without any.

    It is the score of the round whose parameters are kept, perhaps chosen by another metric than
    now: of those that scored higher nothing is left.
    """
    kept = round_of(run.best)
    numbers = range(len(scored) if kept else 0)
    known = [at for at in numbers if scored[at]["round"] == kept] or numbers
    score = [event["metrics"][metric] for event in scored]
    at = max(known, key=score.__getitem__, default=None)
    return (float("-inf"), 0) if at is None else (score[at], len(scored) - 1 - at)


class RoundScorer:
    """Scores rounds on validation, logs the scores and keeps the best parameters.

    Args:
        wanted: whether scores are still wanted; another trainer may have taken over.
    """

    def __init__(self, run: RunFolder, wanted: Callable[[], bool] = lambda: True):
        self.run, self.config, self.wanted = run, run.config(), wanted
        store = open_store(self.config.store)
        run.check_same(store)
        task = make_task(self.config, store)
        self.model = make_model(self.config, store, task)
        self.scorer = Scorer(self.config, store)
        before = read_lines(run.scores)  # of an evaluator that died, or of a run that goes on
        self.best = best_score(run, self.config.metric, before)[0]
        self.last_round = max((event["round"] for event in before), default=0)

    def score(self, path: Path) -> None:
        """Score one round's file; a round that was dropped meanwhile is skipped."""
        try:
            facts = read_model(path, self.model)
        except FileNotFoundError:
            return
        start = time.monotonic()
        metrics = self.scorer(self.model, "valid")
        if not self.wanted():
            return
        number = int(facts["round"])
        if metrics[self.config.metric] > self.best:
            self.best = metrics[self.config.metric]
            write_model(self.run.best, self.model, **facts)
        append_json(
            self.run.scores,
            {
                "kind": "score",
                "part": "valid",
                "round": number,
                "time_s": float(facts["time_s"]),
                "metrics": metrics,
                "score_s": time.monotonic() - start,
            },
        )
        self.last_round = number

    def score_newest(self, every: int | None = None) -> bool:
        """Score the newest of every so many rounds (None: as the config says), if it is new.

        Returns whether it was.
        """
        every = every or self.config.evaluate.every
        due = [path for path in self.run.round_files() if int(path.stem) % every == 0]
        if not due or int(due[-1].stem) <= self.last_round:
            return False
        self.score(due[-1])
        return True


def follow(run: RunFolder, parent: int) -> None:
    """Score rounds until the run is done and its last round scored, or process `parent` is gone."""

    def has_parent() -> bool:  # trainer 0 may be killed: then nobody says done
        return os.getppid() == parent

    scorer = RoundScorer(run, has_parent)
    while has_parent():
        done = run.done.exists()  # asked first: a round may be written after the files are listed
        if not scorer.score_newest(every=1 if done else None):
            if done:
                return
            time.sleep(POLL_S)


def main() -> None:
    """Follow the run named on the command line."""
    run = RunFolder.open(sys.argv[1])
    threads = run.config().evaluate.threads
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    torch.set_num_threads(threads)  # after Numba, whose start sets OpenMP's number for both
    try:
        follow(run, int(sys.argv[2]))
    except UserError as error:
        sys.stderr.write(f"evaluator: {error}\n")
        raise SystemExit(REFUSED) from error


if __name__ == "__main__":
    main()
