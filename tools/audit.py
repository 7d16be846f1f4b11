"""Look for risky code and for packages with known vulnerabilities: `make audit`.

    python tools/audit.py

bandit reads the code, pip-audit asks PyPI about the versions of constraints.txt. `audit.toml` has
the findings that were judged, with reasons. Exit status 1: there are others.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JUDGED = Path(__file__).with_suffix(".toml")
CODE = ("hvdtma", "hypergraph", "slurm", "tools")


def tool_output(*words: str | Path) -> tuple[str, str]:
    """The output and the messages of a tool of this environment."""
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if f"No module named {words[0]}" in done.stderr:
        raise SystemExit(f"{words[0]} is not installed: run `make audit`, which installs it")
    return done.stdout, done.stderr


def unjudged_code(results: Sequence[dict], judged: Sequence[dict]) -> list[str]:
    """Findings of bandit that no judgement covers, and judgements whose count has changed.

    Args:
        results: of bandit's JSON report.
        judged: with `tests` (bandit's), `files` (patterns), `why`, and maybe `count`: the number of
            findings at the time of the judgement.
    """
    counts = [0] * len(judged)
    problems = []
    for each in results:
        name, test = each["filename"].removeprefix("./"), each["test_id"]
        for place, one in enumerate(judged):
            if test in one["tests"] and any(fnmatch(name, pattern) for pattern in one["files"]):
                counts[place] += 1
                break
        else:
            problems.append(f"{name}:{each['line_number']}: {test} {each['issue_text']}")
    for number, one in zip(counts, judged, strict=True):
        what = f"{', '.join(one['tests'])} in {', '.join(one['files'])}"
        if number == 0:
            problems.append(f"nothing is found any more of {what}: remove it from {JUDGED.name}")
        elif number != one.get("count", number):
            problems.append(
                f"{number} findings of {what}; {one['count']} were judged. Look at the new ones, "
                f"and correct the count in {JUDGED.name}"
            )
    return problems


def unjudged_packages(report: dict, judged: Sequence[dict]) -> tuple[list[str], list[str]]:
    """Vulnerabilities in pip-audit's report that were not judged, and packages not looked up."""
    known = {(each["package"], each["id"]) for each in judged}
    problems, unknown = [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unknown.append(package["name"])
        for found in package.get("vulns", []):
            if not known & {(package["name"], i) for i in (found["id"], *found["aliases"])}:
                fixed = ", ".join(found["fix_versions"]) or "no version"
                problems.append(
                    f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"
                )
    return problems, unknown


def audit_packages(pins: Sequence[str]) -> dict | str:
    """pip-audit's report on pinned requirements; the reason if there is none."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins) + "\n")
        file.flush()
        words = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
        out, said = tool_output("pip_audit", *words, "-r", file.name)
    try:
        return json.loads(out)
    except json.JSONDecodeError:
        return (said.strip().splitlines() or ["no output"])[-1]


def check_packages(judged: Sequence[dict]) -> list[str]:
    """Print what pip-audit found; the vulnerabilities that were not judged."""
    text = (ROOT / "constraints.txt").read_text()
    pins = re.findall(r"^[\w.-]+==[^\s;#]+", text, re.MULTILINE)
    # One package first: where the service does not answer, the others need not be tried.
    for asked in (pins[-1:], pins):
        report = audit_packages(asked)
        if isinstance(report, str):
            print(f"packages: NOT CHECKED: pip-audit failed: {report}")
            return []
        problems, unknown = unjudged_packages(report, judged)
        if len(unknown) == len(report["dependencies"]):
            print(
                "packages: NOT CHECKED: the package index of this machine has no information about "
                "vulnerabilities; run `make audit` where PyPI itself is reached"
            )
            return []
    note = f"; not in PyPI: {', '.join(unknown)}" if unknown else ""
    print(f"packages: {len(pins)} versions, {len(problems)} new vulnerabilities{note}")
    return problems


def main() -> int:
    """Run both tools and print the findings that were not judged."""
    judged = tomllib.loads(JUDGED.read_text())
    out, said = tool_output("bandit", "-q", "-r", *CODE, "-f", "json")
    try:
        results = json.loads(out)["results"]
    except json.JSONDecodeError:
        print(f"bandit failed: {said.strip()}", file=sys.stderr)
        return 2
    problems = unjudged_code(results, judged["code"])
    print(f"code: {len(results)} findings, {len(problems)} not judged")
    problems += check_packages(judged.get("package", []))
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
