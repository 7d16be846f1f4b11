"""Control groups, which hold the tasks of a node on their CPUs as on real clusters."""

from contextlib import suppress
from pathlib import Path

CPUS = Path("/sys/fs/cgroup/cpuset")  # of version 1; Slurm uses version 2 through systemd only
CONF = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainCores=yes
"""


def has_cgroups() -> bool:
    """Whether this user can make control groups for CPUs."""
    probe = CPUS / "hvdtma-probe"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def remove_groups(nodes: list[str]) -> None:
    """Remove the groups of nodes that are left empty; those of another cluster are in use."""
    for node in nodes:
        top = CPUS / f"slurm_{node}"
        groups = [path for path in top.rglob("*") if path.is_dir()] + [top] * top.is_dir()
        for group in sorted(groups, reverse=True):
            with suppress(OSError):
                group.rmdir()
