"""Groups of Horovod ranks: this process enters one, and the next one after a change.

LaunchedGroup           horovodrun or mpirun set everything up; the group never changes
ElasticLaunchedGroup    horovodrun with host discovery: Horovod's own elastic driver
RendezvousGroup         the rendezvous of a job (`hvdtma.comm.rendezvous`) gives the rank
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

import horovod.torch as hvd
from horovod.common.elastic import notification_manager

from hvdtma.comm.communicator import TooFewTrainers
from hvdtma.comm.network import interface_towards
from hvdtma.comm.rendezvous import RankInfo, Relay, RendezvousClient, RendezvousGone
from hvdtma.core.errors import TrainerError
from hvdtma.core.launcher import launched_as

JOIN_POLL_S = 0.05
HEARTBEAT_S = 5.0
PEER_TIMEOUT_S = 10  # of silence, after which Gloo gives a peer up. Gloo's own default is 30


class Group(Protocol):
    """Starts Horovod among the trainers of the moment.

    Attributes:
        elastic: whether the group may change.
        slot: the trainer's number on its node, the same as long as it runs. None: it is Horovod's
            local rank.
        secret: of the job, known to its trainers only; None if the launcher has none.
    """

    elastic: bool
    slot: int | None
    secret: str | None

    def start(self) -> None:
        """Start Horovod. Waits for the other trainers.

        Raises TrainerError if this process cannot be one of them.
        """
        ...

    def newcomers_wait(self) -> bool:
        """Whether newcomers wait for a place in the group. Rank 0 asks."""
        ...

    def leave(self) -> None:
        """Tell the job that this trainer has finished: its end is not a loss."""
        ...


class LaunchedGroup:
    """The ranks that horovodrun or mpirun started; one rank if no launcher did.

    `start` raises TrainerError if Horovod reports another size than the launcher asked for: a
    worker that does not find its rendezvous runs as size 1 and says nothing.
    """

    elastic = False
    slot: int | None = None
    secret: str | None = None

    def start(self) -> None:
        hvd.init()
        _, asked = launched_as()
        if hvd.size() != asked:
            raise TrainerError(
                f"the launcher asked for {asked} trainers, Horovod reports {hvd.size()}: "
                "the rendezvous was not found; start with horovodrun, or check HOROVOD_GLOO_*"
            )

    def newcomers_wait(self) -> bool:
        return False

    def leave(self) -> None: ...


class ElasticLaunchedGroup:
    """The ranks of `horovodrun --host-discovery-script`. Horovod asks its own driver for ranks."""

    elastic = True
    slot: int | None = None
    secret: str | None = None

    def __init__(self) -> None:
        self._hosts_changed = threading.Event()
        self._registered = False

    def start(self) -> None:
        hvd.shutdown()  # of the group before, or of a start that failed
        self._hosts_changed.clear()
        hvd.init()
        if not self._registered:
            notification_manager.init()
            notification_manager.register_listener(self)
            self._registered = True

    def on_hosts_updated(self, timestamp: float, update: Any) -> None:
        """Horovod calls this on rank 0, in a thread of its own, when the hosts have changed."""
        self._hosts_changed.set()

    def newcomers_wait(self) -> bool:
        return self._hosts_changed.is_set()

    def leave(self) -> None: ...


class RendezvousGroup:
    """The ranks that the rendezvous of a job gives.

    Args:
        client: of the rendezvous.
        name: of this process, unique in the job for ever. Newcomers get ranks in the order of
            their names.
        host: name of its node. Trainers with the same host are numbered by `slot`, or by Horovod's
            local rank.
        elastic: whether the group may change.
        slot: the trainer's number on its node, where a newcomer takes the slot of a lost trainer.
        rejoin_timeout_s: how long to go on asking a rendezvous that is slow to answer.
        check: called while the others have not come; raises an error to end the waiting.
    """

    def __init__(
        self,
        client: RendezvousClient,
        name: str,
        host: str,
        *,
        elastic: bool,
        slot: int | None = None,
        rejoin_timeout_s: float = 600.0,
        check: Callable[[], None] = lambda: None,
    ):
        self.rejoin_timeout_s, self.check = rejoin_timeout_s, check
        self.client, self.name, self.host, self.elastic = client, name, host, elastic
        self.slot: int | None = slot
        self.secret: str | None = client.secret
        self.generation = 0
        if elastic:
            threading.Thread(target=self._send_heartbeats, daemon=True).start()

    def start(self) -> None:
        hvd.shutdown()
        info = self._join()
        self.generation = info.generation
        os.environ.update(horovod_variables(info, self.host))
        os.environ.setdefault("HOROVOD_GLOO_IFACE", interface_towards(self.client.address)[0])
        if self.elastic:
            os.environ["HOROVOD_ELASTIC"] = "1"  # NCCL then gives up on a lost peer, too
            os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(PEER_TIMEOUT_S))
        with Relay(self.client, info):
            hvd.init()

    def _join(self) -> RankInfo:
        """Wait for the next group; return this trainer's place in it."""
        question = {"question": "join", "name": self.name, "host": self.host}
        while True:
            answer = self.client.ask(
                **question, generation=self.generation, patience_s=self.rejoin_timeout_s
            )
            if "rank_info" in answer:
                return RankInfo(**answer["rank_info"])
            if "too_few" in answer:
                self.leave()  # so that it is not started again
                raise TooFewTrainers(answer["too_few"], saves_for_all=answer["saves_for_all"])
            if "excluded" in answer:
                raise TrainerError(answer["excluded"])
            self.check()
            time.sleep(JOIN_POLL_S)

    def _send_heartbeats(self) -> None:
        """Show that this process runs: while it reads or scores, it does not join."""
        while True:
            with suppress(RendezvousGone):
                self.client.ask(question="heartbeat", name=self.name)
            time.sleep(HEARTBEAT_S)

    def newcomers_wait(self) -> bool:
        try:
            return bool(self.client.ask(question="newcomers")["newcomers"])
        except RendezvousGone:  # training needs the rendezvous only when a trainer is lost
            return False

    def leave(self) -> None:
        self.client.ask(question="leave", name=self.name, patience_s=self.rejoin_timeout_s)


def horovod_variables(info: RankInfo, host: str) -> dict[str, str]:
    """The environment variables in which Horovod looks for its rank."""
    numbers = asdict(info)
    del numbers["generation"]
    return {
        **{f"HOROVOD_{name.upper()}": str(number) for name, number in numbers.items()},
        "HOROVOD_HOSTNAME": host,
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }
