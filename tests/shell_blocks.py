"""The commands that a page of the docs shows, and the words of each."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = (
    "apptainer", "cd", "conda", "eval", "head", "horovodrun", "hvdtma", "make", "module", "pip",
    "python", "salloc", "sbatch", "scontrol", "source", "squeue", "srun", "sudo", "torchrun",
)  # fmt: skip
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}\S.*\n(?:^ {4}.*\n|^\n(?= {4}))*)", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """A command as it stands on a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


def commands(page: Path, root: Path) -> list[Shown]:
    """All commands of a page, in order. A block of them begins with one of `PROGRAMS`."""
    text = page.read_text(encoding="utf-8")
    found = [
        (block.start(), block[2]) for block in FENCED.finditer(text) if block[1] in ("sh", "bash")
    ]
    prose = FENCED.sub(lambda block: "\n" * block[0].count("\n"), text)
    assert len(prose.splitlines()) == len(text.splitlines())
    for block in INDENTED.finditer(prose):
        lines = re.sub(r"^ {4}", "", block[0], flags=re.MULTILINE)
        if lines.split(maxsplit=1)[0] in PROGRAMS:
            found.append((block.start(), lines))
    name = str(page.relative_to(root))
    return [
        Shown(name, " ".join(line.split()))
        for _, block in sorted(found)
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
