"""Settings of a cluster, in a small YAML, so that no submission has to repeat them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from hvdtma.core.config import Component, NotNegative, Positive, load_as
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from slurm.sizes import parse_memory_gb
from slurm.text import Line, OptionName

ENV_VARIABLE = "HVDTMA_CLUSTER"
# Options of sbatch that `submit` needs to know; its arguments and their flags have other names.
ARGUMENTS = {
    "nodes": "--nodes",
    "ntasks": "--nodes and --tasks-per-node",
    "ntasks-per-node": "--tasks-per-node",
    "tasks-per-node": "--tasks-per-node",
    "gpus-per-node": "--gpus-per-node",
    "time": "--time",
    "array": "--array",
    "job-name": "--name",
}
# Options of sbatch that have a key of their own.
NAMED = (
    *("partition", "account", "qos", "constraint", "nodelist", "exclude", "cpus-per-task", "mem"),
    *("gpu-bind", "mail-type", "mail-user"),
)
USER_FILE = Path("~/.config/hvdtma/cluster.yaml")


class ClusterDefaults(Component):
    """Options of every job on this cluster. The command line wins."""

    partition: Line | None = None
    """Partition of the jobs. None: Slurm's default partition."""
    account: Line | None = None
    """Account to charge."""
    qos: Line | None = None
    """Quality of service."""
    constraint: Line | None = None
    """Features that nodes must have, e.g. `a100&ib`."""
    nodelist: Line | None = None
    """Nodes that the job must get, e.g. `n[01-04]`."""
    exclude: Line | None = None
    """Nodes that the job must not get."""
    cpus_per_task: Positive | None = None
    """CPUs of each trainer."""
    memory_gb: NotNegative | None = None
    """Memory of each node in GiB; 0: all of it."""
    gpu_bind: Line | None = None
    """The GPUs that each task sees, e.g. `closest` or `single:1`."""
    mail_type: Line | None = None
    """Events that Slurm sends a mail about, e.g. `END,FAIL`."""
    mail_user: Line | None = None
    """Address of these mails. None: the user's own."""
    modules: tuple[Line, ...] = ()
    """Modules to load before training."""
    setup: tuple[str, ...] = ()
    """Lines of shell to run before training, after the modules are loaded."""
    save_s: Positive = 120
    """Seconds before the time limit at which trainers save and the job is requeued; at most a
    quarter of the limit. Slurm checks time limits about every 30 s."""
    sbatch: dict[OptionName, Line | int | bool] = Field(default_factory=dict)
    """Further options of sbatch, e.g. `reservation: course`. They replace options that are set
    otherwise, such as `requeue`; `false` leaves an option out."""

    @model_validator(mode="before")
    @classmethod
    def _options_with_keys(cls, values: Any) -> Any:
        """Options under `sbatch` that have a key of their own become its value."""
        if not isinstance(values, Mapping) or not isinstance(values.get("sbatch"), Mapping):
            return values
        given = values["sbatch"]
        for name in ARGUMENTS:
            if given.get(name, False) is not False:
                raise ValueError(f"sbatch has '{name}'; give {ARGUMENTS[name]} of the job instead")
        moved = {
            _key(name): _value(name, given[name])
            for name in NAMED
            if given.get(name, False) is not False
        }
        further = {name: value for name, value in given.items() if name not in NAMED}
        return {**moved, **values, "sbatch": further}

    @property
    def setup_lines(self) -> list[str]:
        """Lines of the batch script before the tasks start."""
        modules = [f"module load {' '.join(map(shlex.quote, self.modules))}"] * bool(self.modules)
        # From Slurm 22.05 on, srun does not inherit --cpus-per-task from sbatch.
        cpus = ["export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"] * bool(self.cpus_per_task)
        return [*modules, *cpus, *self.setup]

    def with_options(self, options: Mapping[str, Any]) -> ClusterDefaults:
        """These defaults with some keys changed; None changes nothing.

        Raises UserError for an unknown key and for a bad value.
        """
        given = {key: value for key, value in options.items() if value is not None}
        return load_as(ClusterDefaults, self, given, source="options of the job")


def _key(option: str) -> str:
    return "memory_gb" if option == "mem" else option.replace("-", "_")


def _value(option: str, text: Any) -> Any:
    if option != "mem":
        return str(text)
    try:
        return parse_memory_gb(str(text))
    except UserError as error:
        raise ValueError(str(error)) from error


def find_defaults(path: str | Path | None = None) -> tuple[ClusterDefaults, Path | None]:
    """The cluster's defaults and the file that holds them; (defaults, None) without a file.

    Looks at `path`, then $HVDTMA_CLUSTER, then ~/.config/hvdtma/cluster.yaml. Raises UserError if a
    file that was named does not exist, or cannot be read.
    """
    if name := path or os.environ.get(ENV_VARIABLE):
        named = expanded(name)
        if not named.is_file():
            source = "--cluster-config" if path else f"${ENV_VARIABLE}"
            raise UserError(
                f"{source} is {named}, which is not a file; configs/cluster.yaml is an example"
            )
        return read_defaults(named), named
    user_file = expanded(USER_FILE)
    if user_file.is_file():
        return read_defaults(user_file), user_file
    return ClusterDefaults(), None


def read_defaults(path: Path) -> ClusterDefaults:
    """Read the YAML.

    Raises UserError that names each unknown key, with the valid ones, and each bad value.
    """
    return load_as(ClusterDefaults, path)
