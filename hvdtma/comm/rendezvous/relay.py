"""Horovod's client of the store signs nothing; this lets it in by way of its own process.

Horovod asks a loopback port that answers this very process only (another user of the machine may
connect, and is turned away unheard); the relay signs each request and passes it on.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil

from hvdtma.comm.rendezvous.client import RendezvousClient, RendezvousGone

LOOPBACK = "127.0.0.1"
ADDRESS = ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT")
OWN_PLACE = "/rank_and_size/"  # asked by Horovod's elastic mode when it starts again


class Relay:
    """Between Horovod in this process and the rendezvous; a context manager.

    Args:
        client: of the rendezvous.
        generation: whose values are read and written.
        place: what Horovod is told of its rank and size when it asks.
    """

    def __init__(self, client: RendezvousClient, generation: int, place: str = ""):
        self.client, self.generation, self.place = client, generation, place
        self._http = _RelayServer((LOOPBACK, 0), _RelayHandler)
        self._http.owner = self
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        os.environ |= dict(zip(ADDRESS, (LOOPBACK, str(self.port)), strict=True))
        return self

    def __exit__(self, *error: object) -> None:
        for name in ADDRESS:  # else what this process starts would ask here, too
            os.environ.pop(name, None)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _RelayServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: Relay

    def verify_request(self, request: object, client_address: Any) -> bool:
        """Whether the other end of a connection is a socket of this process."""
        connections = psutil.Process().net_connections("tcp4")
        ends = {(tuple(c.laddr), tuple(c.raddr)) for c in connections if c.raddr}
        return (tuple(client_address), tuple(self.server_address)) in ends

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that goes away in the middle is no news."""


class _RelayHandler(BaseHTTPRequestHandler):
    timeout = 10
    server: _RelayServer

    def do_GET(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith(OWN_PLACE):
            return self._answer(200, owner.place.encode())
        try:
            answer = owner.client.request(self.command, f"/{owner.generation}{self.path}", body)
        except RendezvousGone:
            answer = (503, b"")
        self._answer(*answer)

    do_PUT = do_DELETE = do_GET

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are many and say nothing."""
