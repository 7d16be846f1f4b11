"""Measurements on this machine: a command's time and memory, and reads without the page cache."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITTEN_BYTES = 1 << 30
PIECE_BYTES = 1 << 24
DROP_EVERY_S = 1.0


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
