"""Signed requests to the rendezvous of a job."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any

from hvdtma.comm.rendezvous.signing import signed_headers
from hvdtma.core.errors import TrainerError

TIMEOUT_S = 10.0


class RendezvousGone(TrainerError):
    """The rendezvous of the job does not answer any more."""


class RendezvousClient:
    """Sends signed requests to the rendezvous at `address`:`port`."""

    def __init__(self, address: str, port: int, secret: str):
        self.address, self.port, self.secret = address, port, secret

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request; return the status and the content of the answer.

        Raises RendezvousGone if there is no answer.
        """
        connection = HTTPConnection(self.address, self.port, timeout=TIMEOUT_S)
        try:
            headers = signed_headers(self.secret, method, path, body)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException) as error:
            where = f"{self.address}:{self.port}"
            raise RendezvousGone(f"the job's rendezvous at {where} is gone: {error}") from error
        finally:
            connection.close()

    def ask(self, **question: Any) -> dict:
        """Ask the job's members a question (`Members.answer`); return the answer.

        Raises RendezvousGone if there is no answer, or the job has another secret.
        """
        status, content = self.request("POST", "/ask", json.dumps(question).encode())
        if status != 200:
            where = f"{self.address}:{self.port}"
            raise RendezvousGone(f"the rendezvous at {where} refused with status {status}")
        return json.loads(content)
