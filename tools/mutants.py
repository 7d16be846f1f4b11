"""Change the core's sources a little, and count how many of the changes the tests notice.

    python tools/mutants.py [AREA ...] [--sample 30] [--seed 0] [--again] [--markdown]

`mutants.toml` lists the areas: files, the tests beside them, and changes that were judged to be no
change of behaviour. Each file's changes are drawn at random, the same for the same seed. A change
is caught if a test fails, crashes or does not end. The survivors are printed as diffs. `--again`
tries only the changes that survived the last time.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mutant_runs import Copy, Outcome
from mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_suffix(".toml")
SURVIVORS = ROOT / "build" / "mutants.json"
WANTED = 0.9  # the share of changes that tests must notice

Lines = tuple[str, str]  # the changed lines, before and after; they outlive changes elsewhere


@dataclass(frozen=True)
class Area:
    """Files of one idea and the tests beside them.

    Attributes:
        without: parts of the names of tests that are left out, because they take long.
    """

    name: str
    files: list[str]
    tests: list[str]
    without: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The arguments of pytest."""
        left_out = ["-k", f"not ({' or '.join(self.without)})"] if self.without else []
        return [*left_out, *self.tests]


def read_table() -> tuple[list[Area], dict[str, set[Lines]]]:
    """The areas, and the changes of each file that were judged to change nothing."""
    table = tomllib.loads(TABLE.read_text())
    areas = [Area(name, **found) for name, found in table["areas"].items()]
    judged: dict[str, set[Lines]] = {}
    for each in table.get("equivalent", []):
        judged.setdefault(each["file"], set()).add((each["before"].strip(), each["after"].strip()))
    return areas, judged


def changed_lines(source: str, mutation: Mutation) -> Lines:
    """The lines that a change touches, before and after it, without indentation."""
    before, after = source.splitlines(), mutation.apply(source).splitlines()
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    parts: tuple[list[str], list[str]] = ([], [])
    for kind, i, j, k, m in blocks:
        if kind != "equal":
            parts[0].extend(line.strip() for line in before[i:j])
            parts[1].extend(line.strip() for line in after[k:m])
    return "\n".join(parts[0]), "\n".join(parts[1])


def diff(name: str, source: str, mutation: Mutation) -> str:
    """A change as a diff with one line around it."""
    before, after = source.splitlines(), mutation.apply(source).splitlines()
    return "\n".join(difflib.unified_diff(before, after, name, mutation.kind, lineterm="", n=1))


def chosen(name: str, source: str, asked: argparse.Namespace) -> list[Mutation]:
    """The changes of a file to try: a sample, or those that survived the last time."""
    every = mutations(source)
    if asked.again:
        kept = json.loads(SURVIVORS.read_text()).get(name, []) if SURVIVORS.exists() else []
        return [each for each in every if list(changed_lines(source, each)) in kept]
    draw = random.Random(f"{asked.seed} {name}")
    drawn = draw.sample(every, min(asked.sample, len(every)))
    return sorted(drawn, key=lambda each: each.start)


def try_file(
    copy: Copy, area: Area, name: str, base: Outcome, judged: set[Lines], asked: argparse.Namespace
) -> tuple[Counter[str], list[Lines]]:
    """Try the changes of one file; their counts by result, and those that survived."""
    source = (ROOT / name).read_text()
    counts: Counter[str] = Counter()
    survivors = []
    for mutation in chosen(name, source, asked):
        lines = changed_lines(source, mutation)
        if lines in judged:
            counts["equivalent"] += 1
            continue
        ended = copy.changed(name, mutation.apply(source), area.words, base)
        counts[ended.result] += 1
        if ended.result == "passed":
            survivors.append(lines)
            print(f"{diff(name, source, mutation)}\n", flush=True)
        elif asked.verbose:
            last = ended.tail.strip().splitlines()[-2:]
            print(f"{ended.result}: {name}:{mutation.line} {lines[1]!r} {last}", flush=True)
    return counts, survivors


def row(name: str, possible: int, counts: Counter[str], markdown: bool) -> str:
    """One line of the table of results."""
    caught, judged = counts["failed"] + counts["timeout"], counts.total() - counts["equivalent"]
    score = f"{caught / judged:.1%}" if judged else "-"
    cells = [name, possible, counts.total(), caught, counts["timeout"]]
    words = [*map(str, cells), str(counts["equivalent"]), str(counts["passed"]), score]
    if markdown:
        return f"| {' | '.join(words)} |"
    return f"{words[0]:42}" + "".join(f"{word:>11}" for word in words[1:])


def heading(markdown: bool) -> str:
    """The first lines of the table of results."""
    words = ["possible", "tried", "caught", "by timeout", "equivalent", "survived", "score"]
    if markdown:
        return f"| file | {' | '.join(words)} |\n|---|{'---|' * len(words)}"
    return f"{'file':42}" + "".join(f"{word:>11}" for word in words)


def run(asked: argparse.Namespace) -> int:
    """Try all areas that are asked for; 1 if too few changes are caught."""
    areas, judged = read_table()
    unknown = set(asked.areas) - {area.name for area in areas}
    if unknown:
        known = ", ".join(area.name for area in areas)
        print(f"no area {', '.join(sorted(unknown))}; there are: {known}", file=sys.stderr)
        return 2
    kept = json.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}
    total: Counter[str] = Counter()
    rows, possible = [], 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(ROOT, Path(folder))
        copy.warm_up()
        for area in areas:
            if asked.areas and area.name not in asked.areas:
                continue
            for _ in range(2):  # the second time nothing is left to compile
                base = copy.unchanged(area.words)
                if base.result != "passed":
                    print(f"the tests of {area.name} fail as they are:\n{base.tail}")
                    return 2
            print(f"# {area.name}: its tests take {base.wall_s:.1f} s", flush=True)
            for name in area.files:
                began = time.monotonic()
                counts, kept[name] = try_file(
                    copy, area, name, base, judged.get(name, set()), asked
                )
                print(f"# {name}: {dict(counts)} in {time.monotonic() - began:.0f} s", flush=True)
                number = len(mutations((ROOT / name).read_text()))
                rows.append(row(name, number, counts, asked.markdown))
                total, possible = total + counts, possible + number
                SURVIVORS.parent.mkdir(exist_ok=True)
                SURVIVORS.write_text(json.dumps(kept, indent=1))
    print(heading(asked.markdown), *rows, row("all", possible, total, asked.markdown), sep="\n")
    tried = total.total() - total["equivalent"]
    return int(total["passed"] > (1 - WANTED) * tried)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="Count the changes that the tests notice.")
    parser.add_argument("areas", nargs="*", help="areas of mutants.toml; all by default")
    parser.add_argument("--sample", type=int, default=30, help="changes of a file, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--again", action="store_true", help="try the last survivors only")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--verbose", action="store_true", help="also tell what caught a change")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
