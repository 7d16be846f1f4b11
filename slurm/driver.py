"""The driver of an elastic run: starts the trainers, and starts lost ones again.

The driver serves the job's rendezvous and takes no part in training. When a trainer is lost, the
others continue without it (`hvdtma.training.membership`). When all are lost at once, those that
the driver starts next continue from the newest checkpoint.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hvdtma.comm.rendezvous import Members, RendezvousServer
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.comm.rendezvous.worker_env import WorkerEnv
from hvdtma.comm.transport import require_elastic_transport
from hvdtma.core.console import console
from hvdtma.core.errors import INTERRUPTED, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.runs.folder import BaseRunFolder
from hvdtma.runs.request import train_request
from slurm.resources import check_trainer_count
from slurm.workers import LocalWorkers, Slot, SrunWorkers, WorkerProcess, Workers, trainer_command

TICK_S = 0.2
CHECK_NODES_S = 5.0
FINISH_TIMEOUT_S = 60.0  # for the other trainers, when one has finished
WATCHDOG_TIMEOUT_S = 30.0  # beyond the hang limit: a trainer's own watchdog comes first
MAX_REFUSALS = 3  # of a slot's job step by Slurm, in a row
REFUSAL_DELAY_S = 5.0  # before a refused step is tried again; a bad node is found out meanwhile
FAILED = 1  # exit status of a job whose trainers were lost too often
LOST = 137  # exit status of a process that was killed
USAGE = 2  # exit status after an error that the user can correct


def drive(
    config: Path,
    overrides: Sequence[str] = (),
    *,
    local: int | None = None,
    tasks_per_node: str | None = None,
    max_restarts: int = 100,
    restart_delay_s: float = 5.0,
    or_resume: bool = False,
    overwrite: bool = False,
    shutdown: ShutdownSignal | None = None,
) -> int:
    """Train an elastic run with the tasks of this Slurm job; returns the exit status of the job.

    The status is 0 when the run is complete, `INTERRUPTED` (75) when it is saved and can resume,
    and 1 or 2 when it failed.

    Args:
        config: path of a YAML config with `elastic: true`.
        overrides: `key=value`, on top of the config.
        local: start this many trainers on this machine instead.
        tasks_per_node: trainers of each node, as Slurm writes it (`2(x3),1`); None: the job's.
        max_restarts: of each trainer; 0 leaves a lost trainer lost.
        restart_delay_s: before a lost trainer is started again.
        or_resume: resume the config's run if it exists.
        overwrite: replace the config's run if it exists.
        shutdown: its signal makes all trainers save and end.

    Raises UserError for a bad config, outside of a Slurm job without `local`, without Horovod, or
    if the run cannot be trained.
    """
    request = train_request(config, list(overrides), or_resume=or_resume, overwrite=overwrite)
    loaded = request.config
    if not loaded.elastic:
        raise UserError("hvdtma drive is for elastic trainers; add elastic=true, or use srun")
    if local is None and "SLURM_JOB_NODELIST" not in os.environ:
        raise UserError(
            "this is not a Slurm job: use sbatch, salloc or hvdtma submit; or --local M to start "
            "M trainers here"
        )
    require_elastic_transport()
    workers: Workers = LocalWorkers(local) if local else SrunWorkers(tasks_per_node)
    check_trainer_count(loaded, len(workers.slots()))
    BaseRunFolder(loaded.run).prepare(request.mode, *loaded.inputs)
    # A trainer that is started again must resume.
    command = trainer_command([str(config), *overrides, "--or-resume"])
    round_s = loaded.interval_s or loaded.hang_limit_s
    driver = Driver(
        workers,
        command,
        min_trainers=loaded.min_trainers,
        rejoin_timeout_s=loaded.rejoin_timeout_s,
        hang_limit_s=loaded.hang_limit_s + round_s + WATCHDOG_TIMEOUT_S,
        max_restarts=max_restarts,
        restart_delay_s=restart_delay_s,
    )
    return driver.run(shutdown or ShutdownSignal())


@dataclass
class _Worker:
    """A slot, its trainer process, and when to start the next one."""

    slot: Slot
    number: int
    starts: int = 0
    losses: int = 0
    refusals: int = 0  # by Slurm, since a trainer last ran here
    process: WorkerProcess | None = None
    start_at: float = 0.0
    final_status: int | None = None  # of a worker that will not be started again

    @property
    def name(self) -> str:
        """Name of the present process, unique in the job."""
        return f"{self.number:06d}.{self.starts:06d}"


@dataclass
class Driver:
    """Runs `command` at every slot until training ends.

    Args:
        workers: the slots, and how to start a process there.
        min_trainers, rejoin_timeout_s: of the config.
        hang_limit_s: a trainer that joins the others this much later than they wait for it, at the
            end of a round, is killed.
        max_restarts: of each slot; 0 leaves a lost trainer lost.
        restart_delay_s: before a lost trainer is started again.
    """

    workers: Workers
    command: list[str]
    min_trainers: int = 1
    rejoin_timeout_s: float = 600.0
    hang_limit_s: float = 60.0
    max_restarts: int = 100
    restart_delay_s: float = 5.0
    secret: str = field(default_factory=new_secret, repr=False)

    def run(self, shutdown: ShutdownSignal) -> int:
        """Run to the end; returns the exit status of the job.

        A signal is forwarded to the trainers, which save and end.
        """
        slots = sorted(self.workers.slots())
        self.fleet = [_Worker(slot, number) for number, slot in enumerate(slots)]
        self.members = Members(
            expected=len(self.fleet),
            minimum=self.min_trainers,
            rejoin_timeout_s=self.rejoin_timeout_s,
            hang_limit_s=self.hang_limit_s,
            on_exclude=self._kill_hanging,
        )
        self.nodes_out: set[str] = set()
        self.nodes_checked_at = 0.0
        self.shutting_down = False
        with RendezvousServer(
            self.workers.address, self.secret, self.members.answer
        ) as self.server:
            shutdown.on_signal(self._forward_shutdown)
            try:
                return self._supervise()
            finally:
                self._kill_all()

    def _supervise(self) -> int:
        """Start and restart trainers until one has finished, or none can continue."""
        while True:
            self._check_nodes()
            for worker in self.fleet:
                self._start_if_due(worker)
                status = worker.process.poll() if worker.process else None
                if status is not None:
                    self._handle_exit(worker, status)
            if self._refused_at_start():
                console.print("the job ends: training has not begun, and a trainer is missing")
                return FAILED
            final = [w.final_status for w in self.fleet if w.final_status is not None]
            if 0 in final or INTERRUPTED in final:
                return self._finish()
            if len(final) == len(self.fleet):
                console.print("no trainer is left, and none may be started again")
                return USAGE if set(final) == {USAGE} else FAILED
            if self.shutting_down and not any(worker.process for worker in self.fleet):
                return INTERRUPTED
            usable = [w for w in self.fleet if w.final_status is None and self._in_service(w)]
            self.members.expected = len(usable)
            time.sleep(TICK_S)

    def _in_service(self, worker: _Worker) -> bool:
        return worker.slot.node not in self.nodes_out

    def _start_if_due(self, worker: _Worker) -> None:
        busy = worker.process is not None or worker.final_status is not None
        if busy or self.shutting_down or not self._in_service(worker):
            return
        if time.monotonic() < worker.start_at:
            return
        worker.starts += 1
        slot = worker.slot
        env = WorkerEnv(
            self.workers.address,
            self.server.port,
            self.secret,
            worker.name,
            slot.node,
            slot.local,
            self.rejoin_timeout_s,
        )
        worker.process = self.workers.start(slot, self.command, env.variables)

    def _handle_exit(self, worker: _Worker, status: int) -> None:
        assert worker.process is not None
        refusal, worker.process = worker.process.refusal, None
        self.members.exclude(worker.name)
        if refusal:
            self._handle_refusal(worker, status, refusal)
            return
        worker.refusals = 0
        finished = worker.name in self.members.finished
        if status in (0, INTERRUPTED) and not finished:
            status = LOST  # a signal ended this trainer alone; or its node failed: srun returns 0
        if finished or (status == USAGE and not self.members.generation):
            worker.final_status = status
            return
        if self.shutting_down:
            return
        self.nodes_checked_at = 0.0  # the node may have failed
        worker.losses += 1
        if worker.losses > self.max_restarts:
            worker.final_status = status
            console.print(f"trainer {worker.slot} was lost (status {status}), for good")
        else:
            worker.start_at = time.monotonic() + self.restart_delay_s
            console.print(
                f"trainer {worker.slot} was lost (status {status}); another is started in "
                f"{self.restart_delay_s:g} s"
            )

    def _handle_refusal(self, worker: _Worker, status: int, reason: str) -> None:
        """Slurm did not start the trainer: try again, but not for ever."""
        self.nodes_checked_at = 0.0  # the node may have failed
        worker.refusals += 1
        delay_s = max(self.restart_delay_s, REFUSAL_DELAY_S)
        worker.start_at = time.monotonic() + delay_s
        if worker.refusals < MAX_REFUSALS:
            outcome = f"next try in {delay_s:g} s"
        else:
            outcome = f"given up after {MAX_REFUSALS} refusals in a row"
            worker.final_status = status
        console.print(
            f"Slurm refused to start trainer {worker.slot} ({outcome}): {reason}",
            markup=False,
            soft_wrap=True,
        )

    def _refused_at_start(self) -> bool:
        """Whether Slurm does not start a trainer, and the others have not begun to train."""
        refused = any(worker.refusals >= MAX_REFUSALS for worker in self.fleet)
        return refused and not self.members.generation

    def _check_nodes(self) -> None:
        """Give up the trainers of nodes that went out of service."""
        if time.monotonic() < self.nodes_checked_at + CHECK_NODES_S:
            return
        self.nodes_checked_at = time.monotonic()
        try:
            out = self.workers.out_of_service()
        except UserError as error:  # Slurm's controller may be away for a while
            console.print(f"[yellow]{error}", soft_wrap=True)
            return
        for node in sorted(out ^ self.nodes_out):
            console.print(f"node {node} is {'out of' if node in out else 'back in'} service")
        self.nodes_out = out
        for worker in self.fleet:
            if worker.slot.node in out:
                worker.refusals = 0
                if worker.process:
                    self.members.exclude(worker.name)
                    worker.process.kill()

    def _kill_hanging(self, name: str) -> None:
        """Kill a trainer that does not answer."""
        for worker in self.fleet:
            if worker.name == name and worker.process:
                console.print(f"trainer {worker.slot} does not answer and is ended")
                worker.process.kill()

    def _finish(self) -> int:
        """Let the other trainers finish too; 0 if one of them completed the run."""
        deadline = time.monotonic() + FINISH_TIMEOUT_S
        for worker in self.fleet:
            if worker.process and worker.name not in self.members.current:
                worker.process.kill()  # it came too late to train
            if worker.process:
                try:
                    worker.final_status = worker.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    worker.process.kill()
        return 0 if any(worker.final_status == 0 for worker in self.fleet) else INTERRUPTED

    def _kill_all(self) -> None:
        for worker in self.fleet:
            if worker.process and worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()

    def _forward_shutdown(self) -> None:
        self.shutting_down = self.members.draining = True
        for worker in self.fleet:
            if worker.process:
                worker.process.shut_down()
