"""The relay signs the requests of Horovod's own client, which signs none.

Horovod sends its requests to a loopback port of its own process. The relay signs each request and
passes it on to the rendezvous. The port serves this process only: another user of the machine may
connect, but the connection is closed before anything is read.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil

from hvdtma.comm.rendezvous.client import RendezvousClient, RendezvousGone
from hvdtma.comm.rendezvous.members import RankInfo

LOOPBACK = "127.0.0.1"
ADDRESS_VARIABLES = ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT")
PATIENCE_S = 60.0  # with a rendezvous that is slow
RANK_AND_SIZE = "/rank_and_size/"  # Horovod's elastic mode asks for its rank when it starts again


class Relay:
    """Passes Horovod's requests on to the rendezvous; a context manager.

    Args:
        client: of the rendezvous.
        info: this trainer's place. Values are stored under its generation, and the place answers
            Horovod when it asks for its rank.
    """

    def __init__(self, client: RendezvousClient, info: RankInfo):
        self.client, self.info = client, info
        self._http = _RelayServer((LOOPBACK, 0), _RelayHandler)
        self._http.owner = self
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        os.environ |= dict(zip(ADDRESS_VARIABLES, (LOOPBACK, str(self.port)), strict=True))
        return self

    def __exit__(self, *error: object) -> None:
        for name in ADDRESS_VARIABLES:  # child processes must not use the relay
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
        """Ignore peers that disconnect during a request."""


class _RelayHandler(BaseHTTPRequestHandler):
    timeout = 10
    server: _RelayServer

    def do_GET(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith(RANK_AND_SIZE):
            return self._answer(200, owner.info.as_horovod.encode())
        path = f"/{owner.info.generation}{self.path}"
        try:
            answer = owner.client.request(self.command, path, body, patience_s=PATIENCE_S)
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
        """Do not log requests."""
