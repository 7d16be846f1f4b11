"""The folder of jobs: logs, scripts, and submitit's pickles, which are code.

1234_submission.sh   what sbatch was given     1234_0_log.out   what task 0 printed
1234_submitted.pkl   what every task runs      config-1.yaml    the config that it trains
jobs.jsonl           which job trains which run
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.runs.folder import read_lines


class JobFolder:
    """A folder that only its owner may enter (mode 0700)."""

    def __init__(self, path: Path):
        self.path = path.expanduser().absolute()
        self.jobs = self.path / "jobs.jsonl"
        self.configs: list[Path] = []  # of this submission

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folder, or check it; what comes of a submission that fails is removed again.

        Raises UserError if it is not a folder of this user's alone.
        """
        made = not self.path.exists()
        if made:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
        self._check()
        before = set(self._unsent())
        try:
            yield
        except BaseException:
            for left in [*self.configs, *set(self._unsent()) - before]:
                left.unlink()
            if made:
                self.path.rmdir()
            raise

    def _unsent(self) -> list[Path]:
        """JobTarget submitit writes before a job has an id, by which it then renames it."""
        scripts = self.path.glob(".submission_file_*")  # later a link
        pickles = self.path.glob("*.pkl")
        return [
            *(path for path in scripts if not path.is_symlink()),
            *(path for path in pickles if "_" not in path.name),
        ]

    def _check(self) -> None:
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise UserError(f"{self.path} is no folder; name another with --folder")
        if found.st_uid != os.getuid():
            raise UserError(
                f"{self.path} belongs to another user, who could change what your job runs; name "
                "another with --folder"
            )
        if found.st_mode & 0o077:
            raise UserError(
                f"{self.path} is open to other users (mode {found.st_mode & 0o777:04o}), and what "
                f"lies there is run as code; chmod 700 {self.path}, or name another with --folder"
            )

    def new_config(self) -> Path:
        """A name for a config, made here and now so that nobody else takes it."""
        number = 1 + len(list(self.path.glob("config-*.yaml")))
        while True:
            path = self.path / f"config-{number}.yaml"
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                self.configs.append(path)
                return path

    def note(self, job: str, run: Path | None) -> None:
        """Note which run a job trains."""
        append_json(self.jobs, {"job": job, "run": str(run) if run else None})

    def jobs_of(self, run: Path) -> set[str]:
        """The jobs that train, or have trained, a run."""
        return {line["job"] for line in read_lines(self.jobs) if line["run"] == str(run)}
