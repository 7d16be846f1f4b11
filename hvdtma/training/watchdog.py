"""Ends this process when it stops training without an error: a deadlock, a lost disk, SIGSTOP.

A small helper process waits for heartbeats on a pipe and kills the trainer when none comes for
`limit_s`. The other trainers of an elastic job then continue without it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from hvdtma.core.signals import SHUTDOWN_SIGNALS, blocked_signals

BEAT, PAUSE = b"b", b"p"
BEAT_INTERVAL_S = 0.5

# The helper ends by itself when the other end of the pipe is closed.
HELPER = """
import os, select, signal, sys
parent, limit_s, paused = int(sys.argv[1]), float(sys.argv[2]), True
while True:
    if not select.select([0], [], [], None if paused else limit_s)[0]:
        print(f"no step for {limit_s:g} s: trainer ended", file=sys.stderr, flush=True)
        os.kill(parent, signal.SIGKILL)
        break
    received = os.read(0, 4096)
    if not received:
        break
    paused = received.endswith(b"p")
"""


class Watchdog:
    """Kills this process when heartbeats stop. Starts at the first heartbeat; a context manager.

    Args:
        limit_s: longest time between two heartbeats; None switches the watchdog off.
    """

    def __init__(self, limit_s: float | None):
        self.limit_s, self._last_beat = limit_s, 0.0
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Watchdog:
        if self.limit_s is not None:
            command = [sys.executable, "-S", "-c", HELPER, str(os.getpid()), str(self.limit_s)]
            with blocked_signals(*SHUTDOWN_SIGNALS):  # the helper ends with its trainer
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *error: object) -> None:
        if self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()

    def beat(self) -> None:
        """Send a heartbeat; cheap enough for every step."""
        now = time.monotonic()
        if self._process and now >= self._last_beat + BEAT_INTERVAL_S:
            self._last_beat = now
            self._send(BEAT)

    def pause(self) -> None:
        """Expect no heartbeat before the next one: the trainer reads data or waits for others."""
        self._last_beat = 0.0
        self._send(PAUSE)

    def _send(self, message: bytes) -> None:
        if self._process:
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), message)
