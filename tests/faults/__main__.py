"""`python tests/faults`: try faults, and print how many of each kind were survived."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT / "tests")  # started as a folder, which holds the package itself
sys.path.insert(0, str(ROOT))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # a fork must have one thread

from faults import (  # noqa: E402
    bad_calls,
    bad_files,
    bad_values,
    flips,
    kills,
    preloaded,
    scarcity,
    stops,
)
from faults.kinds import Kind  # noqa: E402
from faults.lab import Lab  # noqa: E402

FAULTS = (kills, flips, bad_values, bad_files, bad_calls, scarcity, stops)
KINDS = [each for module in FAULTS for each in module.kinds()]


def main(
    all_: Annotated[bool, typer.Option("--all", help="Try as many as the table says.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of all cases.")] = 0,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only kinds with this in their name. Can be repeated.")
    ] = None,
    number: Annotated[
        int | None, typer.Option(help="So many of each kind, in place of its own number.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Cases at a time, each in one process.", min=1)] = 1,
    within_s: Annotated[
        float | None, typer.Option(help="Start no case of a kind after its share of this time.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of all files, which is removed. Default: a new one.")
    ] = None,
) -> None:
    """Try faults; the exit status is 1 if one was not survived."""
    folder = work or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in KINDS if not kind or any(word in each.name for word in kind)]
    counts = [each.all if all_ else each.few for each in chosen]
    counts = [number if number is not None else count for count in counts]
    begun = [(each, count) for each, count in zip(chosen, counts, strict=True) if count]
    try:
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        os.environ |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
        tempfile.tempdir = str(folder / "tmp")
        preloaded.preload()
        preloaded.write_only_to(folder, ROOT)
        Lab(folder / "lab").make()
        print("| fault | tried | survived |\n|---|---|---|", flush=True)
        failed = [_tried(folder, each, count, seed, jobs, within_s) for each, count in begun]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(any(failed))


def _tried(
    folder: Path, kind: Kind, count: int, seed: int, jobs: int, within_s: float | None
) -> int:
    """Try a number of cases of a kind and print its row; returns how many were not survived."""
    random = Random(f"{seed} {kind.name}")
    cases = list(enumerate(kind.draw(random, count)))
    random.shuffle(cases)  # if time is up, those that were tried are any
    ends = time.monotonic() + within_s if within_s else float("inf")
    records = [folder / f"job-{job}.jsonl" for job in range(jobs)]
    workers = []
    for job, record in enumerate(records):
        pid = os.fork()
        if not pid:
            _try_each(folder, kind, cases[job::jobs], record, ends)
        workers.append(pid)
    for pid in workers:
        os.waitpid(pid, 0)
    found = [json.loads(line) for record in records for line in record.read_text().splitlines()]
    broken = sorted((each["number"], each) for each in found if each["broken"])
    print(f"| {kind.name} | {len(found)} | {len(found) - len(broken)} |", flush=True)
    for number, each in broken:
        print(f"{kind.name}, {number}: {each['case']}\n    {each['broken']}", file=sys.stderr)
    sys.stderr.flush()
    return len(broken)


def _try_each(
    folder: Path, kind: Kind, cases: list[tuple[int, Any]], record: Path, ends: float
) -> None:
    """Be a process that tries cases one after the other; does not return."""
    try:
        with record.open("w") as file:
            for number, case in cases:
                if time.monotonic() > ends:
                    break
                broken = _try(folder, kind, number, case)
                line = {"number": number, "case": repr(case), "broken": broken}
                file.write(json.dumps(line) + "\n")
                file.flush()
    except BaseException:  # noqa: BLE001 - this process must not go on as the first one
        traceback.print_exc()
    finally:
        os._exit(0)


def _try(folder: Path, kind: Kind, number: int, case: object) -> str:
    here = folder / f"{kind.name} {number}".replace("/", " ")
    here.mkdir()
    try:
        return kind.survives(Lab(folder / "lab"), here, case)
    except Exception:  # noqa: BLE001 - an error of the rules is one case that is not survived
        return traceback.format_exc()
    finally:
        shutil.rmtree(here, ignore_errors=True)


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)

if __name__ == "__main__":
    app()
