"""The folder of jobs: logs, scripts, and submitit's pickles, which are code.

1234_submission.sh   the batch script          1234_0_log.out   output of task 0
1234_submitted.pkl   the code of every task    config-1.yaml    the config of a run
jobs.jsonl           the run of each job
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json, expanded
from hvdtma.runs.folder import read_lines


class JobsSent(UserError):
    """A submission failed after Slurm had taken its jobs, which need their files."""


class JobFolder:
    """The folder of submitted jobs (not of a run); only its owner can enter it (mode 0700)."""

    def __init__(self, path: Path):
        self.path = expanded(path).absolute()
        self.jobs = self.path / "jobs.jsonl"
        self.configs: list[Path] = []  # of this submission
        self.sent: list[str] = []  # ids of its jobs that Slurm has taken

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folder, or check it. A submission that fails leaves nothing new there.

        After JobsSent everything stays. Raises UserError if it is not a folder that belongs to this
        user alone.
        """
        made = not self.path.exists()
        if made:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
        self._check()
        before = set(self._temporary_files())
        try:
            yield
        except JobsSent:
            raise
        except BaseException:
            new = {*self.configs, *set(self._temporary_files()) - before, *self._files_of_sent()}
            for path in new:
                path.unlink(missing_ok=True)
            if made:
                with suppress(OSError):  # another submission uses it by now
                    self.path.rmdir()
            raise

    def _temporary_files(self) -> list[Path]:
        """Files that submitit writes before a job has an id, and renames afterwards."""
        scripts = self.path.glob(".submission_file_*")  # a link once the job has an id
        pickles = self.path.glob("*.pkl")
        return [
            *(path for path in scripts if not path.is_symlink()),
            *(path for path in pickles if "_" not in path.name),
        ]

    def _files_of_sent(self) -> list[Path]:
        """The files of this submission's jobs, and the links to their scripts."""
        files = [path for job in self.sent for path in self.path.glob(f"{job}_*")]
        links = [path for path in self.path.glob(".submission_file_*") if path.is_symlink()]
        return [*files, *(link for link in links if link.resolve() in files)]

    def _check(self) -> None:
        status = self.path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise UserError(f"{self.path} is not a folder; give another one with --folder")
        if status.st_uid != os.getuid():
            raise UserError(
                f"{self.path} belongs to another user, who could change the code of your job; give "
                "another folder with --folder"
            )
        if status.st_mode & 0o077:
            raise UserError(
                f"{self.path} is open to other users (mode {status.st_mode & 0o777:04o}), and jobs "
                f"run the code in it; chmod 700 {self.path}, or give another with --folder"
            )

    def new_config(self) -> Path:
        """Make an empty config file with a name of its own."""
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

    def record(self, job: str, run: Path | None) -> None:
        """Record which run a job trains."""
        append_json(self.jobs, {"job": job, "run": str(run) if run else None})

    def jobs_of(self, run: Path) -> set[str]:
        """All jobs that were submitted for a run."""
        return {line["job"] for line in read_lines(self.jobs) if line["run"] == str(run)}
