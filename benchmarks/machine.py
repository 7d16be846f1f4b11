"""Measurements on this machine: a command's time and memory, and reads without the page cache.

`TimeLimit` runs commands that may fail.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITTEN_BYTES = 1 << 30
PIECE_BYTES = 1 << 24
DROP_EVERY_S = 1.0
ENDING_S = 10


def measured(*command: object, log: Path | None = None) -> tuple[float, int]:
    """Run a command; return its seconds and peak resident bytes.

    Its output goes to `log`, if one is given. Ends this process if the command fails.
    """
    start = time.monotonic()
    with (log or Path(os.devnull)).open("w") as file:
        out = file if log else None
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        words = log.read_text()[-2000:] if log else ""
        raise SystemExit(f"{' '.join(map(str, command))} failed\n{words}")
    return time.monotonic() - start, usage.ru_maxrss * 1024


class TimeLimit:
    """Runs commands in a folder until the time is up. A command that fails raises nothing."""

    def __init__(self, seconds: float, folder: Path):
        self.ends, self.folder = time.monotonic() + seconds, folder

    def run(self, command: list[object], limit_s: float) -> tuple[str, str]:
        """The output of a command, and the reason if it has none or fails: one of both is empty.

        A command that takes longer than `limit_s` is ended, with all that it started in its group.
        """
        limit_s = min(limit_s, self.ends - time.monotonic())
        if limit_s < 1:
            return "", "skipped: the time is up"
        parts = [str(part) for part in command]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            try:
                process = subprocess.Popen(
                    parts, cwd=self.folder, stdout=out, stderr=err, start_new_session=True
                )
            except OSError as error:
                return "", str(error)
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                _end_group(process)
                return "", f"stopped after {limit_s:.0f} s"
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().strip())
        last_line = "\n".join(filter(None, texts)).splitlines()[-1:]
        if process.returncode or not texts[0]:
            return "", f"failed: {last_line[0] if last_line else 'no output'}"
        return texts[0], ""


def _end_group(process: subprocess.Popen) -> None:
    """End a process and its group: first politely, so that a launcher ends what it launched."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def drop_from_cache(files: list[Path]) -> None:
    """Drop files from the page cache, so that they are read from the disk."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


@contextmanager
def never_cached(folder: Path) -> Iterator[None]:
    """Keep dropping the files below a folder from the page cache, every second."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    os.sync()  # pages that are not written yet cannot be dropped
    over = threading.Event()

    def keep_dropping() -> None:
        while not over.wait(DROP_EVERY_S):
            drop_from_cache(files)

    drop_from_cache(files)
    thread = threading.Thread(target=keep_dropping)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def write_rate(folder: Path) -> float:
    """Bytes/s of plain sequential writing, down to the disk."""
    file, piece = folder / "plain", os.urandom(PIECE_BYTES)
    start = time.monotonic()
    with file.open("wb") as out:
        for _ in range(WRITTEN_BYTES // len(piece)):
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    seconds = time.monotonic() - start
    file.unlink()
    return WRITTEN_BYTES / seconds


def read_plainly(files: list[Path]) -> tuple[float, int]:
    """Seconds and bytes of reading whole files one after the other."""
    buffer = bytearray(PIECE_BYTES)
    start, total = time.monotonic(), 0
    for path in files:
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                total += read
    return time.monotonic() - start, total


def print_row(cells: list[str], *, heading: bool = False) -> None:
    """Print one line of a table: the value of each heading."""
    print("| " + " | ".join(cell.replace("_", " ") for cell in cells) + " |", flush=True)
    if heading:
        print("|---" * len(cells) + "|")
