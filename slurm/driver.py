"""The driver of an elastic job: starts trainers, hears who is lost, starts them again.

It holds the job's rendezvous, and no part of the training: trainers that are lost leave it to the
others to go on (`hvdtma.training.membership`). If all are lost at once, those that it starts then go on
from the newest checkpoint.
"""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field

from hvdtma.comm.rendezvous import Members, RendezvousServer
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.comm.rendezvous.worker_env import WorkerEnv
from hvdtma.core.console import console
from hvdtma.core.errors import INTERRUPTED, UserError
from hvdtma.core.signals import Interrupt
from slurm.workers import Slot, Workers, end

TICK_S = 0.2
LOOK_AT_NODES_S = 5.0
END_TIMEOUT_S = 60.0  # for the others, when one trainer has ended
FAILED = 1  # exit status of a job whose trainers were lost too often
LOST = 137  # exit status of what was killed
USAGE = 2  # exit status of what the user has to mend


@dataclass
class _Worker:
    """JobTarget runs at a slot, and when to start it again."""

    slot: Slot
    number: int
    starts: int = 0
    process: subprocess.Popen | None = None
    start_at: float = 0.0
    ended: int | None = None  # status of one that will not be started again

    @property
    def name(self) -> str:
        """Of the present process; no other one in the job has it."""
        return f"{self.number:06d}.{self.starts:06d}"


@dataclass
class Driver:
    """Runs `command` at every slot until training is over.

    Args:
        workers: where, and how.
        min_trainers, rejoin_timeout_s: of the config.
        hang_limit_s: a trainer that does not come so long after the others is ended; they come
            at the end of a round.
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

    def run(self, interrupt: Interrupt) -> int:
        """Drive to the end; the exit status: 0, `INTERRUPTED` if the run is to go on later.

        A signal is passed on to the trainers, who save and end.
        """
        self.fleet = [
            _Worker(slot, number) for number, slot in enumerate(sorted(self.workers.slots()))
        ]
        self.members = Members(
            expected=len(self.fleet),
            minimum=self.min_trainers,
            rejoin_timeout_s=self.rejoin_timeout_s,
            hang_limit_s=self.hang_limit_s,
            on_exclude=self._drop,
        )
        self.out: set[str] = set()
        self.looked_at = 0.0
        self.told_to_end = False
        with RendezvousServer(
            self.workers.address, self.secret, self.members.answer
        ) as self.server:
            interrupt.tell(self._pass_on)
            try:
                return self._watch()
            finally:
                self._kill_all()

    def _watch(self) -> int:
        """Until a trainer has come to the end, or none can go on."""
        while True:
            self._look_at_nodes()
            for worker in self.fleet:
                self._start_if_due(worker)
                status = worker.process.poll() if worker.process else None
                if status is not None:
                    self._ended(worker, status)
            final = [worker.ended for worker in self.fleet if worker.ended is not None]
            if 0 in final or INTERRUPTED in final:
                return self._wind_up()
            if len(final) == len(self.fleet):
                console.print("no trainer is left, and none may be started again")
                return USAGE if set(final) == {USAGE} else FAILED
            if self.told_to_end and not any(worker.process for worker in self.fleet):
                return INTERRUPTED
            able = [w for w in self.fleet if w.ended is None and w.slot.node not in self.out]
            self.members.expected = len(able)
            time.sleep(TICK_S)

    def _start_if_due(self, worker: _Worker) -> None:
        busy = worker.process is not None or worker.ended is not None or self.told_to_end
        if busy or worker.slot.node in self.out or time.monotonic() < worker.start_at:
            return
        worker.starts += 1
        address, slot = self.workers.address, worker.slot
        invitation = WorkerEnv(
            address, self.server.port, self.secret, worker.name, slot.node, slot.local
        )
        worker.process = self.workers.start(worker.slot, self.command, invitation.variables)

    def _ended(self, worker: _Worker, status: int) -> None:
        worker.process = None
        self.members.exclude(worker.name)
        through = worker.name in self.members.finished
        if status in (0, INTERRUPTED) and not through:
            status = LOST  # told to end by itself; and srun says 0 of a task whose node failed
        if through or (status == USAGE and not self.members.generation):
            worker.ended = status
            return
        if self.told_to_end:
            return
        self.looked_at = 0.0  # it may have been the node
        if worker.starts > self.max_restarts:
            worker.ended = status
            console.print(f"trainer {worker.slot} was lost (status {status}), for good")
        else:
            worker.start_at = time.monotonic() + self.restart_delay_s
            console.print(
                f"trainer {worker.slot} was lost (status {status}); another is started in "
                f"{self.restart_delay_s:g} s"
            )

    def _look_at_nodes(self) -> None:
        """Give up the trainers of nodes that went out of service."""
        if time.monotonic() < self.looked_at + LOOK_AT_NODES_S:
            return
        self.looked_at = time.monotonic()
        try:
            out = self.workers.out_of_service()
        except UserError as error:  # Slurm's controller may be away for a while
            console.print(f"[yellow]{error}", soft_wrap=True)
            return
        for node in sorted(out ^ self.out):
            console.print(f"node {node} is {'out of' if node in out else 'back in'} service")
        self.out = out
        for worker in self.fleet:
            if worker.slot.node in out and worker.process:
                self.members.exclude(worker.name)
                end(worker.process)

    def _drop(self, name: str) -> None:
        """A trainer that does not answer is ended."""
        for worker in self.fleet:
            if worker.name == name and worker.process:
                console.print(f"trainer {worker.slot} does not answer and is ended")
                end(worker.process)

    def _wind_up(self) -> int:
        """Let the others come to their end too; the job's status: as good as the best of theirs."""
        deadline = time.monotonic() + END_TIMEOUT_S
        for worker in self.fleet:
            if worker.process and worker.name not in self.members.current:
                end(worker.process)  # it came too late
            if worker.process:
                try:
                    worker.ended = worker.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    end(worker.process)
        return 0 if any(worker.ended == 0 for worker in self.fleet) else INTERRUPTED

    def _kill_all(self) -> None:
        for worker in self.fleet:
            if worker.process and worker.process.poll() is None:
                end(worker.process)
                worker.process.wait()

    def _pass_on(self) -> None:
        self.told_to_end = self.members.draining = True
        for worker in self.fleet:
            if worker.process:
                worker.process.send_signal(signal.SIGUSR2)
