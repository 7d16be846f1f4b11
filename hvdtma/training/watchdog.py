"""Ends this process if it stops training without a word: a dead lock, a lost disk, SIGSTOP.

A small process of its own waits for signs of life on a pipe; when none comes for `limit_s`, it
kills. The other trainers of an elastic job then go on without this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from hvdtma.core.signals import SIGNALS, unheard

ALIVE, RESTING = b"a", b"r"
BEAT_S = 0.5

# Ends by itself when the other end of the pipe is closed.
WATCH = """
import os, select, signal, sys
parent, limit_s, resting = int(sys.argv[1]), float(sys.argv[2]), True
while True:
    if not select.select([0], [], [], None if resting else limit_s)[0]:
        print(f"no step for {limit_s:g} s: trainer ended", file=sys.stderr, flush=True)
        os.kill(parent, signal.SIGKILL)
        break
    said = os.read(0, 4096)
    if not said:
        break
    resting = said.endswith(b"r")
"""


class Watchdog:
    """Watches from the first sign of life on; a context manager.

    Args:
        limit_s: between two signs; None watches nothing.
    """

    def __init__(self, limit_s: float | None):
        self.limit_s, self._beaten = limit_s, 0.0
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Watchdog:
        if self.limit_s is not None:
            command = [sys.executable, "-S", "-c", WATCH, str(os.getpid()), str(self.limit_s)]
            with unheard(*SIGNALS):  # it ends when its trainer does
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *error: object) -> None:
        if self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()

    def alive(self) -> None:
        """Give a sign of life; cheap enough for every step."""
        now = time.monotonic()
        if self._process and now >= self._beaten + BEAT_S:
            self._beaten = now
            self._say(ALIVE)

    def rest(self) -> None:
        """No signs are to be expected before the next one: reading, or waiting for others."""
        self._beaten = 0.0
        self._say(RESTING)

    def _say(self, sign: bytes) -> None:
        if self._process:
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), sign)
