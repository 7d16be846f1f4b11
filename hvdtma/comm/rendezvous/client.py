"""Signed requests to the rendezvous of a job."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from hvdtma.comm.rendezvous.signing import signed_headers
from hvdtma.core.errors import TrainerError

TIMEOUT_S = 10.0


class RendezvousGone(TrainerError):
    """The rendezvous of the job does not answer any more."""


class RendezvousSlow(RendezvousGone):
    """The rendezvous did not answer in time; it may be busy, so that a repetition may help."""


class RendezvousClient:
    """Sends signed requests to the rendezvous at `address`:`port`."""

    def __init__(self, address: str, port: int, secret: str):
        self.address, self.port, self.secret = address, port, secret

    def request(
        self, method: str, path: str, body: bytes = b"", *, patience_s: float = 0.0
    ) -> tuple[int, bytes]:
        """Send a request; return the status and the content of the answer.

        Args:
            patience_s: how long to repeat it while the rendezvous does not answer in time. All
                requests may be repeated.

        Raises RendezvousSlow if there is no answer in time, RendezvousGone if nobody listens.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return self._request(method, path, body)
            except RendezvousSlow:
                if time.monotonic() > deadline:
                    raise

    def _request(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(self.address, self.port, timeout=TIMEOUT_S)
        try:
            headers = signed_headers(self.secret, method, path, body)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError as error:
            raise RendezvousSlow(
                f"the job's rendezvous at {self.address}:{self.port} did not answer in "
                f"{TIMEOUT_S:g} s"
            ) from error
        except (OSError, HTTPException) as error:
            where = f"{self.address}:{self.port}"
            raise RendezvousGone(f"the job's rendezvous at {where} is gone: {error}") from error
        finally:
            connection.close()

    def ask(self, *, patience_s: float = 0.0, **question: Any) -> dict:
        """Ask the job's members a question (`Members.answer`); return the answer.

        Raises RendezvousGone if there is no answer, or the job has another secret.
        """
        body = json.dumps(question).encode()
        status, content = self.request("POST", "/ask", body, patience_s=patience_s)
        if status != 200:
            where = f"{self.address}:{self.port}"
            raise RendezvousGone(f"the rendezvous at {where} refused with status {status}")
        return json.loads(content)
