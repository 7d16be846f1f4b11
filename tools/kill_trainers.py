"""Kill random trainers of a running job at random times, to test that it survives.

python tools/kill_trainers.py --job 1234 --every 60      a Slurm job, on all of its nodes
python tools/kill_trainers.py --pid 4711 --every 60      a horovodrun on this machine
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import psutil
import typer

from trainers import TrainerProcess, of_tree

# Variables of a job that this tool runs in: srun would take them for options of its steps.
OUTER_JOB = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "PMI", "OMPI_")
WAITING = {"PENDING", "CONFIGURING", "COMPLETING", "REQUEUED", "SUSPENDED", "STOPPED"}


@dataclass(frozen=True)
class SlurmJob:
    """The trainers of a Slurm job, reached by a step of the job on each node: no ssh is needed."""

    job: str

    def state(self) -> Literal["running", "waiting", "over"]:
        """State of the job; a requeued job is waiting."""
        state = self._query("%T")
        return "running" if state == "RUNNING" else "waiting" if state in WAITING else "over"

    def trainers(self) -> list[TrainerProcess]:
        """All trainers; none while the job starts or ends."""
        nodes = self._query("%D")
        lister = [sys.executable, str(Path(__file__).with_name("trainers.py")), self.job]
        step = [*self._step(), f"--nodes={nodes}", f"--ntasks={nodes}", *lister]
        done = subprocess.run(step, capture_output=True, text=True, env=_environment())
        if done.returncode and self.state() == "running":
            print(done.stderr.strip(), file=sys.stderr)
        found: dict[tuple[str, int], TrainerProcess] = {}
        for line in done.stdout.splitlines():
            trainer = TrainerProcess(**json.loads(line))
            key = trainer.host, trainer.pid
            # Nodes on one machine all list the same processes: the process's own node is right.
            if key not in found or trainer.node == trainer.own_node:
                found[key] = trainer
        return sorted(found.values(), key=lambda trainer: (trainer.rank, trainer.host, trainer.pid))

    def send(self, number: signal.Signals, trainer: TrainerProcess) -> None:
        """Send a signal to a trainer, on its node."""
        where = ["--nodes=1", "--ntasks=1", f"--nodelist={trainer.node}"]
        kill = ["sh", "-c", f"kill -{number.value} {trainer.pid}"]
        subprocess.run([*self._step(), *where, *kill], check=True, env=_environment())

    def _query(self, format: str) -> str:
        """A field of squeue; empty when the job is over."""
        command = ["squeue", "--noheader", f"--jobs={self.job}", f"--format={format}"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def _step(self) -> list[str]:
        return ["srun", f"--jobid={self.job}", "--overlap", "--quiet", "--job-name=kill-trainers"]


def _environment() -> dict[str, str]:
    """The environment of a step in another job than the one that this tool may run in."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith(OUTER_JOB)}
    return kept | {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}


@dataclass(frozen=True)
class Tree:
    """The trainers of a launcher on this machine."""

    pid: int

    def state(self) -> Literal["running", "over"]:
        """State of the launcher."""
        try:
            ended = psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            ended = True
        return "over" if ended else "running"

    def trainers(self) -> list[TrainerProcess]:
        """All trainers."""
        return of_tree(self.pid)

    def send(self, number: signal.Signals, trainer: TrainerProcess) -> None:
        """Send a signal to a trainer."""
        os.kill(trainer.pid, number)


def main(
    job: Annotated[str | None, typer.Option(help="Id of a Slurm job.")] = None,
    pid: Annotated[int | None, typer.Option(help="Process id of a local launcher.")] = None,
    every: Annotated[float, typer.Option(help="Mean seconds between two kills, at random.")] = 60.0,
    count: Annotated[
        int | None, typer.Option(help="Number of kills. Default: until the job ends.")
    ] = None,
    signal_name: Annotated[
        Literal["KILL", "STOP", "TERM"],
        typer.Option("--signal", help="KILL, STOP (the trainer hangs) or TERM."),
    ] = "KILL",
    seed: Annotated[int | None, typer.Option(help="Seed of the times and choices.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only print the choices.")] = False,
) -> None:
    """Kill random trainers of a running job, but not their launcher."""
    target: SlurmJob | Tree
    match job, pid:
        case str(), None:
            target = SlurmJob(job)
        case None, int():
            target = Tree(pid)
        case _:
            raise typer.BadParameter("give either --job or --pid")
    number = signal.Signals[f"SIG{signal_name}"]
    rng = random.Random(seed)
    done = 0
    while (count is None or done < count) and wait(target.state, rng.expovariate(1 / every)):
        trainers = target.trainers()
        if not trainers:
            log("no trainer is running")
            continue
        victim = rng.choice(trainers)
        if not dry_run:
            try:
                target.send(number, victim)
            except (subprocess.CalledProcessError, ProcessLookupError):
                log(f"{victim} had ended already")
                continue
        done += 1
        action = "would send" if dry_run else "sent"
        log(f"{action} {number.name} to {victim}; {len(trainers)} were running")
    log(f"{done} in all; the job {'continues' if target.state() != 'over' else 'is over'}")


def wait(state: Callable[[], str], wait_s: float) -> bool:
    """Wait while the job runs, not counting its time in the queue; False if it ended."""
    while (now := state()) != "over":
        if wait_s <= 0 and now == "running":
            return True
        time.sleep(min(1.0, max(wait_s, 0.1)))
        if now == "running":
            wait_s -= 1.0
    return False


def log(message: str) -> None:
    """Print a message with the time of day."""
    print(time.strftime("%H:%M:%S"), message, flush=True)


if __name__ == "__main__":
    typer.run(main)
