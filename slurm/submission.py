"""Send a training run, a sweep of runs, a command or a function to a cluster, through submitit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
from submitit import LocalExecutor, SlurmExecutor
from submitit.core.utils import FailedJobError

from hvdtma.config import TrainConfig, dump_config, load_config
from hvdtma.errors import UserError
from slurm import executor as executors
from slurm import job as works
from slurm.check import Resources, check_not_queued, check_run
from slurm.defaults import ClusterDefaults, find_defaults
from slurm.folder import JobFolder
from slurm.job import Job
from slurm.sweep import combinations, folder_name
from slurm.times import in_words, minutes

What = str | Path | Sequence[str] | Callable[[], Any]


@dataclass
class Part:
    """One run of a submission, which is a sweep or has only this one.

    Attributes:
        name: of the run for people; `config`: None for a command or a function.
        goes_on: with a run that was begun before.
        job: submitit's; None in a dry run.
    """

    name: str
    work: Callable[[], Any] | None
    config: TrainConfig | None = None
    goes_on: bool = False
    job: submitit.Job | None = None

    @property
    def id(self) -> str:
        assert self.job is not None
        return self.job.job_id

    @property
    def log(self) -> Path:
        """What task 0 prints."""
        assert self.job is not None
        return self.job.task(0).paths.stdout


@dataclass(frozen=True)
class Submitted:
    """What came of a submission.

    Attributes:
        folder: logs, script and pickles.
        script: what sbatch was given.
        limit: minutes.
        parts: the run, or the runs of a sweep, each with its job.
    """

    folder: Path
    script: str
    resources: Resources
    limit: int
    parts: list[Part] = field(default_factory=list)

    @property
    def job_ids(self) -> list[str]:
        return [part.id for part in self.parts]

    def described(self) -> str:
        """Job ids, runs and where logs are, for people."""
        ids = max(len(job) for job in self.job_ids)
        runs = [
            f"job {part.id:{ids}}  {part.name}{' goes on' * part.goes_on}, log {_near(part.log)}"
            for part in self.parts
        ]
        asked = f"{self.resources}, {in_words(self.limit)} at a time"
        return "\n".join([*runs, f"{asked}; logs and script are in {_near(self.folder)}"])

    def watch(self) -> int:
        """Follow states and validation scores until all has ended; 0 if all ended well."""
        from slurm.watch import watch

        return watch(self.parts)


def submit(
    what: What,
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
            arguments, for every task to run (`slurm.start.meet` lets tasks find one another).
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
    if cluster not in ("slurm", "local"):
        raise UserError(f"cluster is '{cluster}'; valid: slurm, local")
    resources, limit = Resources(nodes, tasks_per_node, gpus_per_node), minutes(time)
    defaults = find_defaults(cluster_config)[0] if cluster == "slurm" else ClusterDefaults()
    if cluster == "slurm" and not dry_run and shutil.which("sbatch") is None:
        raise UserError("sbatch is not there: this machine has no Slurm; use --cluster local")
    base, parts = _parts(what, overrides, array)
    jobs = JobFolder(folder or base.with_name(f"{base.name}.jobs"))
    for part in parts:
        if part.config:
            gpus_elsewhere = any(
                "gpu" in f"{key}={value}" for key, value in defaults.sbatch.items()
            )
            part.goes_on = check_run(part.config, resources, gpus_elsewhere=gpus_elsewhere)
            if cluster == "slurm" and not dry_run:
                check_not_queued(jobs, part.config)
    elastic = {part.config is not None and part.config.elastic for part in parts}
    if len(elastic) > 1:
        raise UserError("of a sweep, all runs are elastic or none is; submit them one by one")
    driven = elastic == {True}
    options = executors.slurm_options(
        resources,
        defaults,
        name=name or base.name,
        minutes=limit,
        partition=partition,
        driven=driven,
    )
    if cluster == "local":
        tasks = 1 if driven else resources.tasks
        script = executors.local_script(jobs.path, tasks)
    else:
        script = executors.script(jobs.path, options, len(parts))
    if dry_run:
        return Submitted(jobs.path, script, resources, limit, parts)
    with jobs.open():
        to: SlurmExecutor | LocalExecutor
        if cluster == "local":
            to = executors.local_executor(jobs.path, resources, limit, tasks=tasks)
        else:
            to = executors.slurm_executor(jobs.path, options)
        told_after_s = limit * 60 - to.parameters["signal_delay_s"] if cluster == "local" else None
        _write_configs(parts, jobs, resources)
        for part, job in zip(parts, _send(to, parts, told_after_s), strict=True):
            part.job = job
            jobs.note(job.job_id, part.config.run if part.config else None)
    return Submitted(jobs.path, script, resources, limit, parts)


def _parts(what: What, overrides: Sequence[str], array: Sequence[str]) -> tuple[Path, list[Part]]:
    """The runs that are asked for, and the path that their jobs are named after."""
    sweep = combinations(array)
    if callable(what):
        if array or overrides:
            raise UserError("a function takes no overrides and no array; submit several instead")
        name = getattr(what, "__name__", type(what).__name__)
        return Path(name), [Part(name, what)]
    if not isinstance(what, str | Path):
        words = [*map(str, what), *overrides]
        name = Path(words[0]).name
        return Path(name), [
            Part(" ".join([name, *chosen]), partial(works.run_command, [*words, *chosen]))
            for chosen in sweep
        ]
    configs = [load_config(what, [*overrides, *chosen]) for chosen in sweep]
    base = configs[0].run.absolute()
    parts = []
    for config, chosen in zip(configs, sweep, strict=True):
        run = base / folder_name(chosen) if chosen else base
        # As they are here and now: what was checked is what is trained.
        config = config.model_copy(update={"run": run, "store": config.store.absolute()})
        parts.append(Part(_near(run), None, config))
    if len({part.name for part in parts}) < len(parts):
        raise UserError(f"the runs of {' '.join(array)} would have the same folders")
    return base, parts


def _near(path: Path) -> str:
    """A path as one would write it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _write_configs(parts: list[Part], folder: JobFolder, resources: Resources) -> None:
    """Write down what each run trains, and let its work be to train that."""
    for part in parts:
        if part.config is None:
            continue
        path = folder.new_config()
        dump_config(part.config, path)
        if part.config.elastic:
            part.work = partial(works.drive, path, resources.nodes, resources.tasks_per_node)
        else:
            part.work = partial(works.train, path)


def _send(
    to: SlurmExecutor | LocalExecutor, parts: list[Part], told_after_s: float | None
) -> list[submitit.Job]:
    """Submit all at once; as a job array if they are several."""
    jobs = [Job(part.work, told_after_s) for part in parts if part.work]
    try:
        with executors.out_of_reach(), redirect_stderr(StringIO()):  # submitit prints it, too
            return to.submit_array(jobs)
    except FailedJobError as error:
        raise UserError(f"Slurm refuses the job: {error}") from None
