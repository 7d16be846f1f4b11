"""States of jobs, from Slurm's queue and accounting, or from submitit's local executor."""

from __future__ import annotations

from collections.abc import Sequence

from submitit import LocalJob

from hvdtma.comm.slurm_task import slurm
from hvdtma.core.errors import UserError
from slurm.specs import JobSpec

UNREACHABLE = "unknown while Slurm does not answer"
ACTIVE = (
    *("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "STOPPED", "SPECIAL_EXIT"),
    UNREACHABLE,
)
COMPLETED, FAILED, UNKNOWN = "COMPLETED", "FAILED", "UNKNOWN"
UNKNOWN_JOB = "Invalid job id"  # in squeue's error if it knows none of the jobs any more


def job_states(specs: Sequence[JobSpec]) -> dict[str, tuple[str, str]]:
    """State, and reason or nodes, of each job by its id."""
    local = {spec.id: _local_state(spec) for spec in specs if isinstance(spec.job, LocalJob)}
    others = [spec.id for spec in specs if spec.id not in local]
    return local | (_slurm_states(others) if others else {})


def _slurm_states(ids: list[str]) -> dict[str, tuple[str, str]]:
    """States from the queue; from accounting for jobs that ended a while ago."""
    jobs = ",".join(sorted({job.split("_")[0] for job in ids}))
    try:
        found = _queue_states(jobs)
    except UserError as error:
        if UNKNOWN_JOB not in str(error):
            return dict.fromkeys(ids, (UNREACHABLE, ""))
        found = {}
    if missing := [job for job in ids if job not in found]:
        found |= dict.fromkeys(missing, (UNKNOWN, "")) | _accounting_states(",".join(missing))
    return {job: found[job] for job in ids}


def _queue_states(jobs: str) -> dict[str, tuple[str, str]]:
    listed = slurm(
        *("squeue", "--noheader", "--array", "--states=all", f"--jobs={jobs}"), "--format=%i|%T|%R"
    )
    return {
        job: (state, reason.strip("()").replace("None", ""))
        for job, state, reason in (line.split("|", 2) for line in listed.splitlines())
    }


def _accounting_states(jobs: str) -> dict[str, tuple[str, str]]:
    try:
        listed = slurm(
            *("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={jobs}"),
            "--format=JobID,State",
        )
    except UserError:
        return {}
    pairs = (line.split("|") for line in listed.splitlines())
    return {job: (state.split()[0], "") for job, state in pairs}


def _local_state(spec: JobSpec) -> tuple[str, str]:
    """State of a job of the local executor, in Slurm's words."""
    assert spec.job is not None
    if spec.job.state == "RUNNING":
        return "RUNNING", ""
    tasks = [spec.job.task(number) for number in range(spec.job.num_tasks)]
    done = all(task.paths.result_pickle.exists() and task.exception() is None for task in tasks)
    return COMPLETED if done else FAILED, ""
