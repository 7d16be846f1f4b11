"""submitit's executor for Slurm: its batch scripts, and one submission as one transaction.

Slurm has a job as soon as sbatch returns. If something fails after that, the job is cancelled
before its files are removed; if it cannot be, they stay.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from submitit import Job, SlurmExecutor, SlurmJob
from submitit.core.utils import DelayedSubmission

from hvdtma.comm.slurm_task import slurm
from hvdtma.core.errors import UserError
from slurm.folder import JobsSent

# How often a job may reach its time limit. submitit asks for a number; a run ends by itself.
MAX_REQUEUES = 100_000
# sbatch --parsable prints `ID` or `ID;CLUSTER`. A site's own sbatch may print a sentence instead,
# or further lines.
ANSWERS = (
    re.compile(r"^\s*(\d+)(?:;\S+)?\s*$", re.MULTILINE),
    re.compile(r"\bjob (\d+)\b", re.IGNORECASE),
)


def job_id(answer: str) -> str | None:
    """The id of the job in the answer of sbatch; None if there is none."""
    for pattern in ANSWERS:
        if found := pattern.findall(answer):
            return str(found[-1])
    return None


class Sbatch(SlurmExecutor):
    """Sends scripts with sbatch.

    Attributes:
        left_out: options of sbatch that are not in the scripts.
        sent: ids of the jobs that Slurm has taken.
    """

    def __init__(
        self, folder: Path, left_out: Collection[str] = (), *, sent: list[str] | None = None
    ):
        super().__init__(folder, max_num_timeout=MAX_REQUEUES)
        self.left_out = left_out
        self.sent: list[str] = [] if sent is None else sent

    @classmethod
    def affinity(cls) -> int:
        return 1  # scripts are written on machines without Slurm too

    def script(self, jobs: int) -> str:
        """The batch script of a number of jobs."""
        if jobs > 1:
            self.parameters["map_count"] = jobs
        return self._make_submission_file_text(self._submitit_command_str, "")

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        text = super()._make_submission_file_text(command, uid)
        options = tuple(f"#SBATCH --{name}{end}" for name in self.left_out for end in ("=", "\n"))
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(options))

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sbatch", "--parsable", str(submission_file_path)]

    def _get_job_id_from_submission_command(self, string: bytes | str) -> str:  # type: ignore[override]
        answer = string if isinstance(string, str) else string.decode(errors="replace")
        found = job_id(answer)
        if found is None:
            raise JobsSent(
                f"sbatch sent the job, but its answer {answer!r} has no job id, so the job cannot "
                f"start its work. Its files stay in {self.folder}. Find the job with squeue --me, "
                "and cancel it with scancel ID"
            )
        self.sent.append(found)
        return found

    def _internal_process_submissions(
        self, delayed_submissions: list[DelayedSubmission]
    ) -> list[Job[Any]]:
        """As submitit's, whose arrays are sent by an executor of its own class."""
        if len(delayed_submissions) == 1:
            return super()._internal_process_submissions(delayed_submissions)
        pickles = [self.folder / f"{uuid.uuid4().hex}.pkl" for _ in delayed_submissions]
        for delayed, pickle in zip(delayed_submissions, pickles, strict=True):
            delayed.set_timeout(self.parameters["time"], self.max_num_timeout)
            delayed.dump(pickle)
        array = Sbatch(self.folder, self.left_out, sent=self.sent)
        array.parameters = {**self.parameters, "map_count": len(pickles)}
        first = array._submit_command(self._submitit_command_str)
        tasks = list(range(first.num_tasks))
        jobs: list[Job[Any]] = []
        for number, pickle in enumerate(pickles):
            job: Job[Any] = SlurmJob(self.folder, f"{first.job_id}_{number}", tasks)
            job.paths.move_temporary_file(pickle, "submitted_pickle")
            jobs.append(job)
        return jobs


@contextmanager
def cancelled_on_error(sent: list[str]) -> Iterator[None]:
    """Cancel the jobs that were sent if the block fails.

    Raises JobsSent if they cannot be cancelled.
    """
    try:
        yield
    except JobsSent:
        raise
    except BaseException as error:
        if sent:
            _cancel(sent, error)
        raise


def _cancel(jobs: list[str], why: BaseException) -> None:
    try:
        slurm("scancel", *jobs)
    except UserError as refused:
        raise JobsSent(
            f"job {', '.join(jobs)} was sent, but then came an error: {why!r}. The job could not "
            f"be cancelled ({refused}), so its files stay. End it with scancel {' '.join(jobs)}"
        ) from why
