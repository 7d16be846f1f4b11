"""The network interfaces of this machine."""

from __future__ import annotations

import socket

import psutil

from hvdtma.core.errors import TrainerError


def interface_towards(address: str) -> tuple[str, str]:
    """The network interface by which this machine reaches an address, and its own address there.

    Raises TrainerError if there is no route.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # sends nothing
            own = probe.getsockname()[0]
    except OSError as error:
        raise TrainerError(f"no route from this machine to {address}: {error}") from error
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == own for entry in addresses):
            return name, own
    raise TrainerError(f"no network interface has the address {own}")
