"""What averaging costs: the ring allreduce in the latency-bandwidth model.

A ring allreduce of n bytes among M trainers is a reduce-scatter and an allgather, of M - 1 steps
each: 2 (M - 1) messages one after the other, which carry 2 (M - 1) / M * n bytes (Thakur,
Rabenseifner and Gropp, 2005; Patarasuk and Yuan, 2009, show that no allreduce sends less). Beside
it stand the passes over the flat buffer that a trainer makes by itself.

Legend: M trainers, P parameters in the flat buffer.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import numpy as np
import torch

from hvdtma.aggregate.flat import FlatModel
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphSizes
from hvdtma.tasks import make_model, make_task

# Over the flat buffer, per aggregation: read, subtract, weigh, join, copy in and out of Horovod's
# buffer, look for NaN, add, write, read again, look for NaN (`TimedAveraging._average`).
FLAT_PASSES = 11
MOMENTS = {"adam": 2, "adamw": 2, "novograd": 1, "sgd": 1}  # values of state per parameter, about
MEASURED_BYTES = 32 << 20
ROUND_TRIPS = 200


@dataclass(frozen=True)
class Network:
    """What lies between trainers, and inside of one; raises UserError for what is not positive.

    Attributes:
        latency_s: of a message.
        bytes_per_s: of a link.
        copy_bytes_per_s: of a copy in memory.
        source: where these numbers are from.
    """

    latency_s: float
    bytes_per_s: float
    copy_bytes_per_s: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.latency_s < float("inf"):
            raise UserError(f"the latency is {self.latency_s:g} s; it must be 0 or more")
        for name, rate in (
            ("--bandwidth-gbps", self.bytes_per_s * 8 / 1e9),
            ("the rate of copies", self.copy_bytes_per_s),
        ):
            if not 0 < rate < float("inf"):
                raise UserError(f"{name} is {rate:g}; it must be above 0")

    @classmethod
    def of(cls, latency_us: float | None = None, bandwidth_gbps: float | None = None) -> Network:
        """The given constants; what is not given is measured here and now, on localhost."""
        latency_s = None if latency_us is None else latency_us * 1e-6
        bytes_per_s = None if bandwidth_gbps is None else bandwidth_gbps * 1e9 / 8
        given = [f"latency {latency_us:g} us"] if latency_us is not None else []
        given += [f"bandwidth {bandwidth_gbps:g} Gbit/s"] if bandwidth_gbps is not None else []
        said = [f"given: {', '.join(given)}"] if given else []
        if latency_s is None or bytes_per_s is None:
            local_latency_s, local_bytes_per_s = measure_localhost()
            latency_s = local_latency_s if latency_s is None else latency_s
            bytes_per_s = local_bytes_per_s if bytes_per_s is None else bytes_per_s
            said.append("the rest measured: TCP on localhost, which is no network between machines")
        said.append("copies in memory measured")
        return cls(latency_s, bytes_per_s, measure_copies(), "; ".join(said))


@dataclass(frozen=True)
class Aggregating:
    """What averaging takes of a run.

    Attributes:
        parameters, num_bytes: P, and the bytes of one aggregation.
        ring_s, copies_s: seconds of one aggregation: between trainers, and within one.
        interval_s: between two; None where steps are counted and their rate is not known.
    """

    trainers: int
    parameters: int
    num_bytes: int
    ring_s: float
    copies_s: float
    interval_s: float | None
    network: Network

    @property
    def lost_s(self) -> float:
        """Seconds that a round takes longer than its interval."""
        return self.ring_s + self.copies_s

    @property
    def lost_share(self) -> float | None:
        """Of the interval."""
        return None if self.interval_s is None else self.lost_s / self.interval_s


def aggregating(
    config: TrainConfig,
    sizes: GraphSizes,
    trainers: int,
    network: Network,
    positives_per_s: float | None = None,
) -> Aggregating:
    """The averaging of a run by M trainers; one by itself averages nothing."""
    with torch.device("meta"):  # shapes without values
        model = make_model(config, sizes, make_task(config, sizes))
        values = sum(tensor.numel() for tensor in FlatModel(model).tensors)
    num_bytes = 4 * values
    if config.aggregate.optimizer_state == "average":
        num_bytes += 4 * MOMENTS[config.optimizer.name] * values
    interval_s = config.interval_s
    if config.interval_steps is not None and positives_per_s:
        interval_s = config.interval_steps * config.task.batch_size / positives_per_s
    alone = trainers == 1
    return Aggregating(
        trainers,
        sum(parameter.numel() for parameter in model.parameters()),
        0 if alone else num_bytes,
        0.0 if alone else ring_seconds(trainers, num_bytes, network),
        0.0 if alone else FLAT_PASSES * num_bytes / network.copy_bytes_per_s,
        interval_s,
        network,
    )


def ring_seconds(trainers: int, num_bytes: float, network: Network) -> float:
    """The allreduce, and the small allgather that announces weights before it."""
    steps = 2 * (trainers - 1)
    carried_s = steps / trainers * num_bytes / network.bytes_per_s
    return carried_s + (steps + trainers - 1) * network.latency_s


def measure_copies() -> float:
    """Bytes/s of a copy in memory."""
    source = np.ones(MEASURED_BYTES, np.uint8)
    target = np.zeros_like(source)
    start = time.perf_counter()
    for _ in range(4):
        np.copyto(target, source)
    return 4 * source.nbytes / max(time.perf_counter() - start, 1e-9)


def measure_localhost() -> tuple[float, float]:
    """(seconds of a message, bytes/s) between two sockets of this machine, over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = socket.create_connection(server.getsockname())
        here, _ = server.accept()
    with there, here:
        for end in (there, here):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=_answer, args=(there,), daemon=True)
        thread.start()
        start = time.perf_counter()
        for _ in range(ROUND_TRIPS):
            here.sendall(b"?")
            here.recv(1)
        latency_s = (time.perf_counter() - start) / ROUND_TRIPS / 2
        start = time.perf_counter()
        here.sendall(bytes(MEASURED_BYTES))
        here.recv(1)
        seconds = time.perf_counter() - start
        thread.join()
    return latency_s, MEASURED_BYTES / max(seconds, 1e-9)


def _answer(end: socket.socket) -> None:
    """Give every byte back, then swallow many and answer once."""
    for _ in range(ROUND_TRIPS):
        end.recv(1)
        end.sendall(b"!")
    left, room = MEASURED_BYTES, bytearray(1 << 20)
    while left:
        left -= end.recv_into(room, min(left, len(room)))
    end.sendall(b"!")
