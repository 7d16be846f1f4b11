"""Send a training run, a sweep of runs, a command or a function to a cluster, through submitit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import submitit
from submitit import LocalExecutor, SlurmExecutor
from submitit.core.utils import FailedJobError

from hvdtma.core.config import dump_config
from hvdtma.core.errors import UserError
from slurm import job
from slurm.checks import Resources, check_not_queued, check_run
from slurm.defaults import ClusterDefaults, find_defaults
from slurm.executor import CLUSTERS, Request, out_of_reach
from slurm.folder import JobFolder
from slurm.job import Job
from slurm.specs import JobSpec, JobTarget, job_specs, near
from slurm.times import in_words, minutes


@dataclass(frozen=True)
class Submitted:
    """JobTarget came of a submission.

    Attributes:
        request: what was asked for; its folder holds logs, script and pickles.
        script: what sbatch was given.
        parts: the run, or the runs of a sweep, each with its job.
    """

    request: Request
    script: str
    parts: list[JobSpec]

    @property
    def job_ids(self) -> list[str]:
        return [part.id for part in self.parts]

    def described(self) -> str:
        """Job ids, runs and where logs are, for people."""
        ids = max(len(job) for job in self.job_ids)
        runs = [
            f"job {part.id:{ids}}  {part.name}{' goes on' * part.resumes}, log {near(part.log)}"
            for part in self.parts
        ]
        asked = f"{self.request.resources}, {in_words(self.request.minutes)} at a time"
        return "\n".join([*runs, f"{asked}; logs and script are in {near(self.request.folder)}"])

    def watch(self) -> int:
        """Follow states and validation scores until all has ended; 0 if all ended well."""
        from slurm.watch import watch

        return watch(self.parts)


def submit(
    what: JobTarget,
    overrides: Sequence[str] = (),
    *,
    nodes: int = 1,
    tasks_per_node: int = 1,
    gpus_per_node: int = 0,
    time: str = "1h",
    partition: str | None = None,
    array: Sequence[str] = (),
    cluster: str = "slurm",
    cluster_config: Path | None = None,
    name: str | None = None,
    folder: Path | None = None,
    dry_run: bool = False,
) -> Submitted:
    """Send a job that saves before its time limit and goes on under the same id.

    Args:
        what: the path of a training config; or a command as a list of words, or a function without
            arguments, for every task to run (`hvdtma.comm.slurm_meeting.meet` lets tasks find one another).
        overrides: `key=value`, on top of the config, or further words of the command.
        nodes, tasks_per_node, gpus_per_node: what the job asks for; a task is a trainer.
        time: the limit, as `4h`, `90m`, `30` (minutes) or `1-12:00:00`.
        partition: instead of the cluster defaults'.
        array: `key=a,b,c`, one run of a sweep each; several make all combinations.
        cluster: `local` starts the tasks on this machine.
        cluster_config: YAML of cluster defaults, instead of $HVDTMA_CLUSTER or the user's own.
        name: of the job; None: the run's.
        folder: for logs and pickles, made with mode 0700; None: beside the run, RUN.jobs.
        dry_run: submit nothing; the result has the script.

    Raises UserError for whatever is wrong with the config, the store, or what is asked for, and
    with Slurm's own words if it refuses.
    """
    if cluster not in CLUSTERS:
        raise UserError(f"cluster is '{cluster}'; valid: {', '.join(CLUSTERS)}")
    on_slurm, to = cluster == "slurm", CLUSTERS[cluster]
    defaults = find_defaults(cluster_config)[0] if on_slurm else ClusterDefaults()
    base, parts = job_specs(what, overrides, array)
    jobs = JobFolder(folder or base.with_name(f"{base.name}.jobs"))
    request = Request(
        folder=jobs.path,
        name=name or base.name,
        resources=Resources(nodes, tasks_per_node, gpus_per_node),
        minutes=minutes(time),
        partition=partition,
        defaults=defaults,
        driven=_driven(parts),
    )
    for part in parts:
        if part.config:
            part.resumes = check_run(part.config, request.resources, defaults)
    submitted = Submitted(request, to.script(request, len(parts)), parts)
    if dry_run:
        return submitted
    with jobs.open():
        executor = to.executor(request)
        if on_slurm:
            check_not_queued(jobs, [part.config.run for part in parts if part.config])
        _write_configs(parts, jobs, request.resources)
        told_after_s = None if on_slurm else request.minutes * 60 - request.save_s
        sent = _send(executor, [Job(part.work, told_after_s) for part in parts if part.work])
    for part, sent_job in zip(parts, sent, strict=True):
        part.job = sent_job
        jobs.note(sent_job.job_id, part.config.run if part.config else None)
    return submitted


def _driven(parts: list[JobSpec]) -> bool:
    """Whether these are elastic runs, which one task drives; raises UserError if only some are."""
    elastic = {part.config is not None and part.config.elastic for part in parts}
    if len(elastic) > 1:
        raise UserError("of a sweep, all runs are elastic or none is; submit them one by one")
    return elastic == {True}


def _write_configs(parts: list[JobSpec], folder: JobFolder, resources: Resources) -> None:
    """Write down what each run trains, and let its work be to train that."""
    for part in parts:
        if part.config is None:
            continue
        path = folder.new_config()
        dump_config(part.config, path)
        if part.config.elastic:
            part.work = partial(job.drive, path, resources.nodes, resources.tasks_per_node)
        else:
            part.work = partial(job.train, path)


def _send(to: SlurmExecutor | LocalExecutor, jobs: list[Job]) -> list[submitit.Job]:
    """Submit all at once; as a job array if they are several."""
    try:
        with out_of_reach(), redirect_stderr(StringIO()):  # submitit prints it, too
            return to.submit_array(jobs)
    except FailedJobError as error:
        raise UserError(f"Slurm refuses the job: {error}") from None
