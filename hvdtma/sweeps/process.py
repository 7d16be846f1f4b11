"""A trial as a process of its own, so that its failure, whatever it is, ends no other trial."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from hvdtma.core.errors import INTERRUPTED
from hvdtma.sweeps.trial import Trial

MAX_WHY = 300
# A run that was interrupted and saved; Ctrl-C, which a terminal sends to the trials as well.
INTERRUPTIONS = (INTERRUPTED, 128 + signal.SIGINT, -signal.SIGINT)


class TrialProcesses:
    """Starts trials as `hvdtma train`, and ends them when the sweep is interrupted.

    Attributes:
        in_process: trainers of each run, in its process; None: one.
        interrupted: no further trial starts.
    """

    def __init__(self, in_process: int | None = None):
        self.in_process = in_process
        self.interrupted = False
        self._running: set[subprocess.Popen] = set()

    def run(self, trial: Trial, config: Path) -> Trial:
        """Train until the run ends; the trial with its result, or with the reason of a failure."""
        log = config.with_suffix(".log")
        command = [sys.executable, "-m", "hvdtma", "train", str(config), "--or-resume"]
        if self.in_process:
            command += ["--in-process", str(self.in_process)]
        if self.interrupted:
            return trial
        with log.open("a") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # for plug-ins
            )
            self._running.add(process)
            status = process.wait()
            self._running.discard(process)
        if status == 0:
            return trial.with_result()
        if status in INTERRUPTIONS or self.interrupted:
            self.interrupted = True
            return trial
        return trial.failed(_reason(log, status))

    def interrupt(self) -> None:
        """Make running trials save and end, and start no others."""
        self.interrupted = True
        for process in list(self._running):
            process.terminate()


def _reason(log: Path, status: int) -> str:
    """The error in a log, or else its last line."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] for line in lines if line.startswith("error: ")]
    ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    said = (errors or [line.strip() for line in lines] or [""])[-1][:MAX_WHY]
    return f"{said} ({ended}, {log})".strip()
