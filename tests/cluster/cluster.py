"""Start a cluster, use it and remove it. All its files are in one directory."""

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cluster import cgroups, processes
from cluster.config import slurm_conf

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun")
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"  # daemons are in sbin
LONGEST_DIRECTORY = 75  # a Unix socket's path has at most 107 characters
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "DEADLINE"}


def missing_programs() -> list[str]:
    """Programs of a cluster that are not installed (Debian: packages slurm-wlm and munge)."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


class Cluster:
    """A Slurm cluster on this machine, run by the calling user, in a directory of its own.

    Its nodes are daemons. Every task sees the same host name; SLURMD_NODENAME is the node's name.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory).resolve()
        self.conf = self.directory / "slurm.conf"
        self.log_dir = self.directory / "log"
        # Without the variables of an enclosing job, if this process is a task of one.
        outer = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
        self.env = outer | {"SLURM_CONF": str(self.conf), "PATH": PATH}

    @property
    def nodes(self) -> list[str]:
        """Names of the nodes: n1, n2, ..."""
        return re.findall(r"^NodeName=(n\d+)", self.conf.read_text(), re.MULTILINE)

    def up(self, nodes: int = 4, cpus: int = 8, **options: int | str) -> None:
        """Write the files, start the daemons and wait until every node is idle.

        `options`: of `slurm_conf`. Raises RuntimeError with the last lines of the logs if it
        fails, and leaves nothing running then.
        """
        if missing := missing_programs():
            raise RuntimeError(
                f"not installed: {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
            )
        path = str(self.directory)
        if len(path) > LONGEST_DIRECTORY or re.search(r"[\s,%#]", path):
            raise RuntimeError(
                f"{path!r}: Slurm and its sockets need a path of at most {LONGEST_DIRECTORY} "
                "characters without spaces, commas, % and #"
            )
        if self.directory.exists() and any(self.directory.iterdir()):
            raise RuntimeError(f"{path} is not empty; take it down first")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.conf.write_text(slurm_conf(self.directory, nodes, cpus, **options))
        if "task/cgroup" in str(options.get("task_plugin")):
            (self.directory / "cgroup.conf").write_text(cgroups.CONF)
        for made in (self.log_dir, self.directory / "spool"):
            made.mkdir()
        try:
            self._start_munged()
            self._start("slurmctld", "-f", self.conf)
            for node in self.nodes:
                self.start_node(node)
            self._wait_for_nodes()
        except (subprocess.CalledProcessError, TimeoutError) as error:
            logs = self._last_log_lines()
            self.down()
            raise RuntimeError(f"the cluster did not start: {error}\n{logs}") from error

    def down(self) -> None:
        """Kill all processes of the cluster, even after a failed start; remove its directory."""
        its_own = self.conf.exists() and f"={self.directory}/state\n" in self.conf.read_text()
        if not its_own and self.directory.exists() and any(self.directory.iterdir()):
            raise RuntimeError(
                f"{self.directory} is not the directory of a cluster: nothing removed"
            )
        processes.kill(lambda: processes.of_cluster(self.directory))
        if (self.directory / "cgroup.conf").exists():
            cgroups.remove_groups(self.nodes)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command: object) -> str:
        """Output of a command on this cluster; CalledProcessError if it fails."""
        words = list(map(str, command))
        done = subprocess.run(words, env=self.env, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def job(self, job: object) -> dict[str, str]:
        """Fields of `scontrol show job`, also of an ended job: JobState, Restarts, ..."""
        pairs = self.run("scontrol", "-o", "show", "job", job).split()
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def wait_for_job(self, job: object, *states: str, timeout_s: float = 60) -> str:
        """Wait until a job is in one of `states`; without states, until it has ended. Its state."""
        wanted = set(states) or ENDED
        wait_for(lambda: self.job(job)["JobState"] in wanted, timeout_s, poll_s=0.2)
        return self.job(job)["JobState"]

    def nodes_of(self, job: object) -> list[str]:
        """Names of a job's nodes."""
        return self.run("scontrol", "show", "hostnames", self.job(job)["NodeList"]).split()

    def node_state(self, node: str) -> str:
        """State of a node: `idle`, `mixed`, `allocated`, `down` ..., with `+drain` or `*` (silent).

        From scontrol: sinfo may still count a job that has ended.
        """
        words = self.run("scontrol", "-o", "show", "node", node).split()
        return next(word[6:].lower() for word in words if word.startswith("State="))

    def set_node(self, node: str, state: str) -> None:
        """Set a node `down`, like a failed node (its jobs are requeued), or `resume` it."""
        if state == "resume" and not self._is_out(node):
            return  # a node that answers may be back already
        reason = ["reason=test"] if state != "resume" else []
        self.run("scontrol", "update", f"nodename={node}", f"state={state}", *reason)

    def crash_node(self, node: str) -> None:
        """Kill a node's daemon and its tasks; `start_node` starts it again."""
        processes.kill(lambda: processes.of_cluster(self.directory, node))

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._start("slurmd", "-f", self.conf, "-N", node)

    def tidy(self) -> None:
        """End all jobs and bring back all nodes, for the next test."""
        if self.run("squeue", "-h"):
            self.run("scancel", "--quiet", "--me")
            processes.kill(lambda: processes.of_jobs(self.directory))  # instead of after KillWait
        running = processes.words(processes.of_cluster(self.directory))
        for node in self.nodes:
            if node not in running:
                self.start_node(node)  # it comes back by itself
            elif self._is_out(node):
                self.set_node(node, "resume")
        wait_for(lambda: not self.run("squeue", "-h"))
        self._wait_for_nodes()

    def _is_out(self, node: str) -> bool:
        return any(word in self.node_state(node) for word in ("down", "drain"))

    def _wait_for_nodes(self) -> None:
        wait_for(lambda: {self.node_state(node) for node in self.nodes} == {"idle"}, 120)

    def _start_munged(self) -> None:
        key = self.directory / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        files = {"key-file": key.name, "socket": "munge.s", "pid-file": "munged.pid"}
        files |= {"seed-file": "munged.seed", "log-file": "log/munged.log"}
        options = [f"--{option}={self.directory / name}" for option, name in files.items()]
        # By force: munged warns of the directory, although no other user can enter it.
        self._start("munged", "--force", *options)

    def _start(self, *command: object) -> None:
        """Start a daemon; it goes to the background by itself."""
        words = list(map(str, command))
        env = {"PATH": PATH, "SLURM_CONF": str(self.conf)}
        with (self.log_dir / "start.log").open("a") as log:
            subprocess.run(words, env=env, check=True, stdout=log, stderr=log, cwd=self.directory)

    def _last_log_lines(self, count: int = 8) -> str:
        logs = sorted(self.log_dir.glob("*.log"))
        tails = ["\n".join(log.read_text().splitlines()[-count:]) for log in logs]
        return "\n".join(f"{log.name}:\n{tail}" for log, tail in zip(logs, tails, strict=True))


def wait_for(condition: Callable[[], bool], timeout_s: float = 30, poll_s: float = 0.1) -> None:
    """Return when `condition()` holds; TimeoutError if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout_s:g} s")
        time.sleep(poll_s)
