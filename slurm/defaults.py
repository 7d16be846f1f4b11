"""JobTarget a cluster's users would otherwise repeat at each submission: one small YAML."""

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

VARIABLE = "HVDTMA_CLUSTER"
OWN = Path("~/.config/hvdtma/cluster.yaml")


class ClusterDefaults(Component):
    """How jobs are sent to this cluster, where the command line does not say otherwise."""

    partition: str | None = None
    """Where jobs wait and run. None: the cluster's own default."""
    account: str | None = None
    """Who pays."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that nodes must have, e.g. `a100&ib`."""
    cpus_per_task: Positive | None = None
    """CPUs of each trainer."""
    memory_gb: PositiveFloat | None = None
    """GiB per node."""
    modules: tuple[str, ...] = ()
    """Modules to load before training."""
    setup: tuple[str, ...] = ()
    """Lines of shell to run before training, after the modules."""
    save_s: Positive = 120
    """Seconds before the time limit at which trainers save and the job goes back into the queue;
    at most a quarter of the limit. Slurm looks at limits every 30 s or so."""
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)
    """Further options of sbatch, e.g. `reservation: course`."""

    @property
    def setup_lines(self) -> list[str]:
        """JobTarget the batch script does before it starts the tasks."""
        modules = [f"module load {' '.join(map(shlex.quote, self.modules))}"] * bool(self.modules)
        # From Slurm 22.05 on, srun does not take this over from sbatch by itself.
        cpus = ["export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"] * bool(self.cpus_per_task)
        return [*modules, *cpus, *self.setup]


def find_defaults(path: Path | None = None) -> tuple[ClusterDefaults, Path | None]:
    """The cluster's defaults and where they stand: `path`, or $HVDTMA_CLUSTER, or the user's own.

    Raises UserError for a file that was named and is not there, or holds something else.
    """
    named = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            told = "--cluster-config" if path else f"${VARIABLE}"
            raise UserError(f"{told} is {named}, which is no file; see configs/cluster.yaml")
        return read_defaults(named), named
    own = OWN.expanduser()
    return (read_defaults(own), own) if own.is_file() else (ClusterDefaults(), None)


def read_defaults(path: Path) -> ClusterDefaults:
    """Read such a YAML; raises UserError for what is wrong in it, unknown keys with valid ones."""
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
