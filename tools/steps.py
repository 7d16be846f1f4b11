"""Run the slow steps of the set-up: quiet when they work, helpful when they fail."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

Command = list[str | Path]

TAIL_LINES = 8
ERROR_LINES = 8  # lines with "error"; the last lines of pip seldom show the cause

# Patterns in a step's log, with advice. The first match wins.
KNOWN_CAUSES = (
    (r"No space left on device", "free some disk space (TMPDIR moves the temporary files)"),
    (r"Killed signal terminated|out of memory", "too little memory: try again with JOBS=1"),
    (
        r"Temporary failure in name resolution|Failed to establish a new connection"
        r"|Connection refused|ConnectTimeoutError|ProxyError|CERTIFICATE_VERIFY_FAILED",
        "pip could not reach its package index: check the network and `pip config list`",
    ),
    (
        r"No matching distribution found|ResolutionImpossible",
        "check the package index that pip uses (`pip config list`), and whether it answers",
    ),
    (r"DO NOT MATCH THE HASHES", "the download is not the file that was tested: try again"),
    (r"ensurepip", "install Python's venv module: apt-get install python3-venv"),
    (r"Python\.h: No such file", "install Python's headers: apt-get install python3-dev"),
    (r"No CMAKE_CXX_COMPILER could be found", "install a C++ compiler: apt-get install g++"),
)


class StepError(Exception):
    """A step of the set-up failed; the message names the step and gives advice."""


def run_step(name: str, command: Command, log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run `command` with its output in `log`.

    `env` is added to this process's environment. Raises `StepError` with the end of the log if the
    command fails.
    """
    print(f"  {name} ...", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as out:
        out.write("$ " + " ".join(map(str, command)) + "\n")
        out.flush()
        try:
            code = subprocess.run(
                [str(word) for word in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
            ).returncode
        except FileNotFoundError as error:
            raise StepError(f"{name}: cannot run {command[0]}: {error.strerror}") from error
    if code != 0:
        raise StepError(describe_failure(name, code, log))
    print(f"  {name}: {time.monotonic() - began:.0f} s", flush=True)


def describe_failure(name: str, code: int, log: Path) -> str:
    """The failed step, the important lines of its log, and advice for a known cause."""
    text = log.read_text(errors="replace")
    lines = text.splitlines()
    early, last = lines[:-TAIL_LINES], lines[-TAIL_LINES:]
    errors = [line for line in early if re.search(r"\berror\b", line, re.IGNORECASE)]
    shown = errors[:ERROR_LINES] + ["..."] * bool(errors) + last
    quoted = "\n".join(f"    | {line.strip()[:200]}" for line in shown)
    advice = advice_for(text)
    return (
        f"the step '{name}' failed (exit code {code}). From its log:\n{quoted}\n"
        f"  The whole log: {log}" + (f"\n  What to do: {advice}" if advice else "")
    )


def advice_for(log_text: str) -> str | None:
    """Advice for the first known cause in a log, or None."""
    for pattern, advice in KNOWN_CAUSES:
        if re.search(pattern, log_text):
            return advice
    return None
