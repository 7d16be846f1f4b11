"""Settings of a cluster, in a small YAML, so that no submission has to repeat them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, ValidationError
from yaml import YAMLError

from hvdtma.core.config import Component, Positive, PositiveFloat
from hvdtma.core.errors import UserError, nearest

ENV_VARIABLE = "HVDTMA_CLUSTER"
USER_FILE = Path("~/.config/hvdtma/cluster.yaml")


class ClusterDefaults(Component):
    """Options of every job on this cluster. The command line wins."""

    partition: str | None = None
    """Partition of the jobs. None: Slurm's default partition."""
    account: str | None = None
    """Account to charge."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that nodes must have, e.g. `a100&ib`."""
    cpus_per_task: Positive | None = None
    """CPUs of each trainer."""
    memory_gb: PositiveFloat | None = None
    """Memory of each node in GiB."""
    modules: tuple[str, ...] = ()
    """Modules to load before training."""
    setup: tuple[str, ...] = ()
    """Lines of shell to run before training, after the modules are loaded."""
    save_s: Positive = 120
    """Seconds before the time limit at which trainers save and the job is requeued; at most a
    quarter of the limit. Slurm checks time limits about every 30 s."""
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)
    """Further options of sbatch, e.g. `reservation: course`."""

    @property
    def setup_lines(self) -> list[str]:
        """Lines of the batch script before the tasks start."""
        modules = [f"module load {' '.join(map(shlex.quote, self.modules))}"] * bool(self.modules)
        # From Slurm 22.05 on, srun does not inherit --cpus-per-task from sbatch.
        cpus = ["export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"] * bool(self.cpus_per_task)
        return [*modules, *cpus, *self.setup]


def find_defaults(path: str | Path | None = None) -> tuple[ClusterDefaults, Path | None]:
    """The cluster's defaults and the file that holds them; (defaults, None) without a file.

    Looks at `path`, then $HVDTMA_CLUSTER, then ~/.config/hvdtma/cluster.yaml. Raises UserError if a
    file that was named does not exist, or cannot be read.
    """
    if name := path or os.environ.get(ENV_VARIABLE):
        named = Path(name)
        if not named.is_file():
            source = "--cluster-config" if path else f"${ENV_VARIABLE}"
            raise UserError(
                f"{source} is {named}, which is not a file; configs/cluster.yaml is an example"
            )
        return read_defaults(named), named
    user_file = USER_FILE.expanduser()
    if user_file.is_file():
        return read_defaults(user_file), user_file
    return ClusterDefaults(), None


def read_defaults(path: Path) -> ClusterDefaults:
    """Read the YAML.

    Raises UserError that names each unknown key, with the valid ones, and each bad value.
    """
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds a list; cluster defaults are keys and values")
    try:
        return ClusterDefaults.model_validate(values)
    except ValidationError as error:
        lines = []
        for detail in error.errors():
            key = str(detail["loc"][0])
            if detail["type"] == "extra_forbidden":
                lines.append(
                    f"unknown key '{key}'; {nearest(key, list(ClusterDefaults.model_fields))}"
                )
            else:
                lines.append(f"'{key}' is {detail['input']!r}: {detail['msg'].lower()}")
        raise UserError(f"{path}: " + "\n".join(dict.fromkeys(lines))) from None
