"""The rendezvous of a job: a key-value store for Horovod, and the job's members, over HTTP.

    GET, PUT, DELETE /GENERATION/SCOPE/KEY     the requests of Horovod's Gloo to its store
    POST /ask                                  a question to the job's members, JSON both ways

A request must be signed with the job's secret; otherwise the server reads its headers only. The
server never unpickles a value.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hvdtma.comm.rendezvous.signing import DIGEST, SIGNATURE, has_digest, is_valid_signature

REQUEST_TIMEOUT_S = 10  # without a byte
CONNECTION_S = 30  # of a connection, which is for one request
MAX_CONNECTIONS = 1024  # each has a thread
MAX_BODY = 1 << 20  # an address or a question is a few hundred bytes
Answer = Callable[[dict], dict]


class RendezvousServer:
    """Serves until `close`; a context manager.

    Args:
        address: to listen on. The port is a free one.
        secret: requests must be signed with it.
        answer: answers questions (`Members.answer`); None: questions are refused.
    """

    def __init__(self, address: str, secret: str, answer: Answer | None = None):
        self.secret, self.answer = secret, answer
        self.values: dict[str, bytes] = {}
        self._http = _StoreServer((address, 0), _StoreHandler)
        self._http.owner = self
        self.address, self.port = address, self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Further calls do nothing."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> RendezvousServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _StoreServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: RendezvousServer

    def __init__(self, *arguments: Any):
        self._open: dict[socket.socket, float] = {}  # connection -> its beginning, oldest first
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; the oldest one ends if too many are open."""
        if len(self._open) >= MAX_CONNECTIONS:
            for oldest in list(self._open)[:1]:
                self._end(oldest)
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End connections that take too long; called several times per second."""
        latest = time.monotonic() - CONNECTION_S
        for connection, began in list(self._open.items()):
            if began < latest:
                self._end(connection)

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def _end(self, connection: socket.socket) -> None:
        """Wake the thread of a connection, which then closes it."""
        self._open.pop(connection, None)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore peers that disconnect during a request."""


class _StoreHandler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_S
    server: _StoreServer

    def do_GET(self) -> None:
        if self._body() is not None:
            value = self.server.owner.values.get(self.path)
            self._answer(HTTPStatus.NOT_FOUND if value is None else HTTPStatus.OK, value or b"")

    def do_PUT(self) -> None:
        body = self._body()
        if body is not None:
            self.server.owner.values[self.path] = body
            self._answer(HTTPStatus.OK)

    def do_DELETE(self) -> None:
        if self._body() is not None:
            self._answer(HTTPStatus.OK)  # the few addresses of a generation may stay

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        answer = self.server.owner.answer
        if self.path != "/ask" or answer is None:
            return self._answer(HTTPStatus.NOT_FOUND)
        try:
            answered = answer(json.loads(body))
        except (ValueError, KeyError, TypeError, RecursionError):  # a question of no meaning
            return self._answer(HTTPStatus.BAD_REQUEST)
        self._answer(HTTPStatus.OK, json.dumps(answered).encode())

    def _body(self) -> bytes | None:
        """The body of a signed request; None if the request was refused."""
        headers, secret = self.headers, self.server.owner.secret
        signature, digest = headers.get(SIGNATURE, ""), headers.get(DIGEST, "")
        if not is_valid_signature(secret, self.command, self.path, signature, digest):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        length = headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        body = self.rfile.read(int(length))
        if not has_digest(body, digest):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        return body

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._answer(status)

    def _answer(self, status: HTTPStatus, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""
