"""Submit a training run, a sweep of runs, a command or a function to a cluster, with submitit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
from submitit import LocalExecutor
from submitit.core.utils import FailedJobError

from hvdtma.core.config import dump_config
from hvdtma.core.console import warn
from hvdtma.core.errors import UserError
from slurm import job
from slurm.checks import check_name, check_not_queued, check_run, resource_remarks
from slurm.defaults import ClusterDefaults, find_defaults
from slurm.environment import python_path, submission_environment
from slurm.executor import BACKENDS, JobRequest, ignored_terminal_signals
from slurm.folder import JobFolder
from slurm.job import Job
from slurm.needs import with_needs
from slurm.resources import Resources
from slurm.sbatch import Sbatch, cancelled_on_error
from slurm.specs import JobSpec, JobTarget, job_specs, relative_path
from slurm.times import format_minutes, parse_minutes
from slurm.watch import watch_jobs


@dataclass(frozen=True)
class Submission:
    """The result of `submit`.

    Attributes:
        request: resources, time limit and folder of the jobs.
        script: the batch script.
        specs: the jobs; a sweep has one for each run.
    """

    request: JobRequest
    script: str
    specs: list[JobSpec]

    @property
    def job_ids(self) -> list[str]:
        return [spec.id for spec in self.specs]

    def describe(self) -> str:
        """Job ids, runs, logs and resources as text."""
        width = max(len(job) for job in self.job_ids)
        jobs = [
            f"job {spec.id:{width}}  {spec.name}{' (resumes)' * spec.resumes}, "
            f"log {relative_path(spec.log)}"
            for spec in self.specs
        ]
        resources = f"{self.request.resources}, time limit {format_minutes(self.request.minutes)}"
        folder = relative_path(self.request.folder)
        return "\n".join([*jobs, f"{resources}; logs and script are in {folder}"])

    def watch(self) -> int:
        """Follow states and validation scores until all jobs have ended; 0 if all completed."""
        return watch_jobs(self.specs)


def submit(
    target: JobTarget,
    overrides: Sequence[str] = (),
    *,
    nodes: int = 1,
    tasks_per_node: int = 1,
    gpus_per_node: int = 0,
    time: str = "1h",
    partition: str | None = None,
    options: Mapping[str, Any] | None = None,
    array: Sequence[str] = (),
    array_parallel: int | None = None,
    cluster: str = "slurm",
    cluster_config: str | Path | None = None,
    name: str | None = None,
    folder: str | Path | None = None,
    dry_run: bool = False,
) -> Submission:
    """Submit a job that saves before its time limit, and is requeued under the same id.

    Args:
        target: path of a training config; or a command as a list of words; or a function without
            arguments. Every task runs it. Tasks of a command or function can meet with
            `hvdtma.comm.slurm_meeting.meet`. Or a list of resolved configs, one job for each.
        overrides: `key=value`, on top of the config; or further words of the command.
        nodes, tasks_per_node, gpus_per_node: resources of the job; each task is one trainer.
        time: time limit, as `4h`, `90m`, `30` (minutes) or `1-12:00:00`.
        partition, options: instead of the cluster defaults (`slurm.defaults.ClusterDefaults`), as
            in `options={"account": "physics", "cpus_per_task": 8}`.
        array: `key=a,b,c` for a sweep, one run per value; several make all combinations.
        array_parallel: number of jobs of a sweep that run at a time; None: no limit.
        cluster: `slurm`, or `local` to start the tasks on this machine.
        cluster_config: YAML of cluster defaults; None: $HVDTMA_CLUSTER, or the user's own file.
        name: name of the job; None: the run's.
        folder: for logs and pickles, made with mode 0700; None: RUN.jobs, beside the run.
        dry_run: submit nothing; the result holds the batch script.

    Jobs find the modules of plug-ins where this process does: in the folders of `sys.path` and in
    the working directory.

    Raises UserError if the config, the store, a plug-in, the resources or a name are not valid, and
    with Slurm's own message if Slurm refuses the job. Then nothing is left behind.
    """
    if cluster not in BACKENDS:
        raise UserError(f"cluster is '{cluster}'; valid: {', '.join(BACKENDS)}")
    on_slurm, backend = cluster == "slurm", BACKENDS[cluster]
    defaults = _defaults(on_slurm, cluster_config, {"partition": partition, **(options or {})})
    base, specs = job_specs(target, overrides, array)
    jobs = JobFolder(Path(folder or base.with_name(f"{base.name}.jobs")))
    request = JobRequest(
        folder=jobs.path,
        name=name or base.name,
        resources=Resources(nodes, tasks_per_node, gpus_per_node),
        minutes=parse_minutes(time),
        defaults=defaults,
        elastic=_all_elastic(specs),
        python_path=python_path(),
        array_parallel=_checked_parallel(array_parallel, len(specs), on_slurm),
    )
    _check_names(request, specs)
    for spec in specs:
        if spec.config:
            spec.resumes = check_run(spec.config, request.resources, defaults)
    configs = [spec.config for spec in specs if spec.config]
    for remark in resource_remarks(request.resources, defaults, configs) if on_slurm else []:
        warn(remark)
    script = backend.script(request, len(specs))
    submission = Submission(request, script, specs)
    if dry_run:
        return replace(submission, script=with_needs(script, request, specs))
    with jobs.open():
        executor = backend.executor(request)
        if on_slurm:
            check_not_queued(jobs, [config.run for config in configs])
        _write_configs(specs, jobs, request.resources)
        signal_after_s = None if on_slurm else request.minutes * 60 - request.save_s
        work = [Job(spec.work, signal_after_s) for spec in specs if spec.work]
        # A local job has no batch script that could set it.
        variables = {} if on_slurm else {"PYTHONPATH": request.python_path}
        if isinstance(executor, Sbatch):
            jobs.sent = executor.sent
        with cancelled_on_error(jobs.sent):
            submitted = _submit_all(executor, work, variables)
            for spec, submitted_job in zip(specs, submitted, strict=True):
                spec.job = submitted_job
                jobs.record(submitted_job.job_id, spec.config.run if spec.config else None)
    return submission


def _defaults(
    on_slurm: bool, file: str | Path | None, options: Mapping[str, Any]
) -> ClusterDefaults:
    """The cluster's defaults with the options of this job; of this machine, none."""
    if on_slurm:
        return find_defaults(file)[0].with_options(options)
    if unused := [key for key, value in options.items() if value is not None]:
        warn(f"not used with --cluster local: {', '.join(unused)}")
    return ClusterDefaults()


def _checked_parallel(limit: int | None, jobs: int, on_slurm: bool) -> int | None:
    """The limit of jobs at a time. Raises UserError if it is below 1, or there is no sweep."""
    if limit is None:
        return None
    if limit < 1:
        raise UserError(f"--array-parallel is {limit}; it must be at least 1")
    if jobs == 1:
        raise UserError("--array-parallel limits the jobs of a sweep, but there is only one job")
    if not on_slurm:
        warn("not used with --cluster local: --array-parallel")
    return limit


def _check_names(request: JobRequest, specs: list[JobSpec]) -> None:
    """Raises UserError if a run, the job or its folder has a name that Slurm cannot use."""
    for spec in specs:
        if spec.config:
            check_name("run's folder", str(spec.config.run), "give run=ANOTHER")
    check_name("job's name", request.name, "give another one with --name")
    check_name("folder of logs", str(request.folder), "give another one with --folder")


def _all_elastic(specs: list[JobSpec]) -> bool:
    """Whether the runs are elastic. Raises UserError if only some of them are."""
    elastic = {spec.config is not None and spec.config.elastic for spec in specs}
    if len(elastic) > 1:
        raise UserError(
            "some runs of the sweep are elastic and others are not; submit these one by one"
        )
    return elastic == {True}


def _write_configs(specs: list[JobSpec], folder: JobFolder, resources: Resources) -> None:
    """Write the config of each run, and set the work that trains it."""
    for spec in specs:
        if spec.config is None:
            continue
        path = folder.new_config()
        dump_config(spec.config, path)
        if spec.config.elastic:
            spec.work = partial(job.drive, path, resources.nodes, resources.tasks_per_node)
        else:
            spec.work = partial(job.train, path)


def _submit_all(
    executor: Sbatch | LocalExecutor, work: list[Job], variables: dict[str, str]
) -> list[submitit.Job]:
    """Submit one job, or several as a job array, with environment variables."""
    try:
        with (
            submission_environment(**variables),
            ignored_terminal_signals(),
            redirect_stderr(StringIO()),  # submitit prints Slurm's message as well
        ):
            return executor.submit_array(work)
    except FailedJobError as error:
        raise UserError(f"Slurm refuses the job: {error}") from None
