"""How this process came into its group of trainers, and how it comes into the next one.

LaunchedGroup           horovodrun or mpirun set everything up; the group never changes
ElasticLaunchedGroup    horovodrun with host discovery: Horovod's own elastic driver
RendezvousGroup             a job's rendezvous (`hvdtma.comm.rendezvous`), asked for a place
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

import horovod.torch as hvd
import psutil

from hvdtma.comm.communicator import TooFewLeft
from hvdtma.comm.rendezvous import RankInfo, Relay, RendezvousClient, RendezvousGone
from hvdtma.core.errors import TrainerError
from hvdtma.core.launcher import launched_as

ASK_S = 0.05
ALIVE_S = 5.0  # between signs of life
PEER_TIMEOUT_S = 10  # of silence, then a peer is lost; also to meet a peer at the start. Gloo: 30


class Group(Protocol):
    """Starts Horovod among the trainers of the moment.

    Attributes:
        elastic: whether the group may change.
        slot: the trainer's number on its node, as long as it runs; None: its local rank is that.
    """

    elastic: bool
    slot: int | None

    def start(self) -> None:
        """Start Horovod; waits for the others.

        Raises TrainerError if this process cannot be one of them.
        """
        ...

    def newcomers_wait(self) -> bool:
        """Whether somebody waits to be let in; asked by trainer 0."""
        ...

    def leave(self) -> None:
        """Say that this trainer is through: its end is no loss."""
        ...


class LaunchedGroup:
    """What the launcher said, or one trainer by itself.

    Raises TrainerError if Horovod reports another size than the launcher asked for: a worker that
    cannot find its rendezvous runs alone as size 1, without a word.
    """

    elastic = False
    slot: int | None = None

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
    """horovodrun with --host-discovery-script: its driver gives the rank_infos, Horovod asks it."""

    elastic = True
    slot: int | None = None

    def __init__(self) -> None:
        self._changed = threading.Event()
        self._started = False

    def start(self) -> None:
        from horovod.common.elastic import notification_manager

        hvd.shutdown()  # of a group before, or of a try that failed
        self._changed.clear()
        hvd.init()
        if not self._started:
            notification_manager.init()
            notification_manager.register_listener(self)
        self._started = True

    def on_hosts_updated(self, timestamp: float, update: Any) -> None:
        """Called by Horovod on trainer 0, in a thread of its own, when there are other hosts."""
        self._changed.set()

    def newcomers_wait(self) -> bool:
        return self._changed.is_set()

    def leave(self) -> None: ...


class RendezvousGroup:
    """A place in the job, asked of its rendezvous.

    Args:
        client: of the rendezvous.
        name: of this process in the job; no other has it, nor will have. Newcomers get their
            ranks in the order of their names.
        host: of its node; trainers of one host are numbered by `slot`, or else by Horovod's local
            rank.
        elastic: whether the group may change.
        slot: of its node, where others come into the slots of those that are lost.
    """

    def __init__(
        self,
        client: RendezvousClient,
        name: str,
        host: str,
        *,
        elastic: bool,
        slot: int | None = None,
    ):
        self.client, self.name, self.host, self.elastic = client, name, host, elastic
        self.slot = slot
        self.generation = 0
        if elastic:
            threading.Thread(target=self._give_signs_of_life, daemon=True).start()

    def start(self) -> None:
        hvd.shutdown()
        place = self._place()
        self.generation = place.generation
        os.environ.update(horovod_variables(place, self.host))
        os.environ.setdefault("HOROVOD_GLOO_IFACE", interface_towards(self.client.address)[0])
        if self.elastic:
            os.environ["HOROVOD_ELASTIC"] = "1"  # NCCL then gives up on a lost peer, too
            os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(PEER_TIMEOUT_S))
        with Relay(self.client, place.generation, place.words):
            hvd.init()

    def _place(self) -> RankInfo:
        """The place in the next group, once there is one."""
        while True:
            answer = self.client.ask(
                question="join", name=self.name, host=self.host, generation=self.generation
            )
            if "place" in answer:
                return RankInfo(**answer["place"])
            if "too_few" in answer:
                self.leave()  # and is not started again
                raise TooFewLeft(answer["too_few"], saves_for_all=answer["saves_for_all"])
            if "given_up" in answer:
                raise TrainerError(answer["given_up"])
            time.sleep(ASK_S)

    def _give_signs_of_life(self) -> None:
        """As long as this process can: while it reads or scores it does not come to the door."""
        while True:
            with suppress(RendezvousGone):
                self.client.ask(question="alive", name=self.name)
            time.sleep(ALIVE_S)

    def newcomers_wait(self) -> bool:
        try:
            return bool(self.client.ask(question="newcomers")["newcomers"])
        except RendezvousGone:  # training needs it only when somebody is lost
            return False

    def leave(self) -> None:
        self.client.ask(question="leave", name=self.name)


def horovod_variables(place: RankInfo, host: str) -> dict[str, str]:
    """What Horovod reads of its place in the environment."""
    numbers = asdict(place)
    del numbers["generation"]
    return {
        **{f"HOROVOD_{name.upper()}": str(number) for name, number in numbers.items()},
        "HOROVOD_HOSTNAME": host,
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }


def interface_towards(address: str) -> tuple[str, str]:
    """The network interface by which this machine reaches an address, and its own address there.

    Raises TrainerError if there is no way.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # sends nothing
            own = probe.getsockname()[0]
    except OSError as error:
        raise TrainerError(f"no way from this machine to {address}: {error}") from error
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == own for entry in addresses):
            return name, own
    raise TrainerError(f"no network interface has the address {own}")
