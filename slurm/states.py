"""How jobs are: as Slurm's queue and accounting have it, or submitit's local executor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hvdtma.comm.slurm_task import slurm
from hvdtma.core.errors import UserError

if TYPE_CHECKING:
    from slurm.specs import JobSpec

UNREACHABLE = "unknown while Slurm does not answer"
UNDER_WAY = (
    *("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "STOPPED", "SPECIAL_EXIT"),
    UNREACHABLE,
)
COMPLETED, FAILED, UNKNOWN = "COMPLETED", "FAILED", "UNKNOWN"
FORGOTTEN = "Invalid job id"  # squeue's words when it knows none of the jobs any more


def job_states(parts: Sequence[JobSpec]) -> dict[str, tuple[str, str]]:
    """State, and why or where, of each job."""
    local = {part.id: _local_state(part) for part in parts if _is_local(part)}
    asked = [part.id for part in parts if part.id not in local]
    return local | (_slurm_states(asked) if asked else {})


def _slurm_states(ids: list[str]) -> dict[str, tuple[str, str]]:
    """As Slurm's queue has them; or its accounting, of jobs that ended a while ago."""
    jobs = ",".join(sorted({job.split("_")[0] for job in ids}))
    try:
        found = _queued(jobs)
    except UserError as error:
        if FORGOTTEN not in str(error):
            return dict.fromkeys(ids, (UNREACHABLE, ""))
        found = {}
    if missing := [job for job in ids if job not in found]:
        found |= dict.fromkeys(missing, (UNKNOWN, "")) | _accounted(",".join(missing))
    return {job: found[job] for job in ids}


def _queued(jobs: str) -> dict[str, tuple[str, str]]:
    listed = slurm(
        *("squeue", "--noheader", "--array", "--states=all", f"--jobs={jobs}"), "--format=%i|%T|%R"
    )
    return {
        job: (state, why.strip("()").replace("None", ""))
        for job, state, why in (line.split("|", 2) for line in listed.splitlines())
    }


def _accounted(jobs: str) -> dict[str, tuple[str, str]]:
    try:
        listed = slurm(
            *("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={jobs}"),
            "--format=JobID,State",
        )
    except UserError:
        return {}
    pairs = (line.split("|") for line in listed.splitlines())
    return {job: (state.split()[0], "") for job, state in pairs}


def _is_local(part: JobSpec) -> bool:
    from submitit import LocalJob

    return isinstance(part.job, LocalJob)


def _local_state(part: JobSpec) -> tuple[str, str]:
    """JobTarget a job of the local executor is in, in Slurm's words."""
    assert part.job is not None
    if part.job.state == "RUNNING":
        return "RUNNING", ""
    tasks = [part.job.task(number) for number in range(part.job.num_tasks)]
    done = all(task.paths.result_pickle.exists() and task.exception() is None for task in tasks)
    return COMPLETED if done else FAILED, ""
