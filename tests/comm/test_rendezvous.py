"""Who gets into a job's rendezvous, and who trains with whom."""

import http.client
import pickle
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from hvdtma.comm.rendezvous import (
    Members,
    Relay,
    RendezvousClient,
    RendezvousGone,
    RendezvousServer,
)
from hvdtma.comm.rendezvous.members import TooFewMembers, rank_infos
from hvdtma.comm.rendezvous.signing import new_secret, signed_headers

HOME = "127.0.0.1"
ALONE = rank_infos([HOME], generation=1)[0]


class Bomb:
    """Touches a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def server():
    with RendezvousServer(
        HOME, new_secret(), answer=lambda question: {"heard": question}
    ) as server:
        server.values["/1/global/0"] = b"an address"
        yield server


@pytest.fixture
def client(server):
    return RendezvousClient(HOME, server.port, server.secret)


def remote(server, method, path, body=b"", headers=None):
    with closing(http.client.HTTPConnection(HOME, server.port, timeout=5)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_store_gives_back_what_was_put(client):
    assert client.request("GET", "/1/global/1") == (404, b"")
    assert client.request("PUT", "/1/global/1", b"\x00\xff") == (200, b"")
    assert client.request("GET", "/1/global/1") == (200, b"\x00\xff")
    assert client.ask(question="?") == {"heard": {"question": "?"}}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_a_request_without_the_secret_is_refused(server, method):
    assert remote(server, method, "/1/global/0", b"{}") == (403, b"")
    assert server.values == {"/1/global/0": b"an address"}


def test_a_signature_is_good_for_its_own_request_only(server):
    headers = signed_headers(server.secret, "GET", "/1/global/0", b"")
    assert remote(server, "GET", "/1/global/0", headers=headers) == (200, b"an address")
    assert remote(server, "GET", "/1/global/9", headers=headers)[0] == 403
    assert remote(server, "PUT", "/1/global/0", b"mine", headers)[0] == 403
    signed = signed_headers(server.secret, "PUT", "/1/global/0", b"theirs")
    assert remote(server, "PUT", "/1/global/0", b"mine", signed)[0] == 403
    assert server.values["/1/global/0"] == b"an address"


def test_what_is_not_signed_is_refused_before_it_is_read(server):
    """A body that never comes does not keep the answer."""
    with socket.create_connection((HOME, server.port), timeout=5) as peer:
        peer.sendall(b"PUT /1/global/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert b" 403 " in peer.recv(100)


def test_a_signed_body_may_not_be_endless(server):
    headers = signed_headers(server.secret, "PUT", "/1/global/0", b"")
    headers["Content-Length"] = str(1 << 40)
    assert remote(server, "PUT", "/1/global/0", b"", headers)[0] == 413


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"nonsense", b"[]", b"{}", b"\xff\xfe", b"[" * 50_000),
        b'{"question": "join", "name": "a", "host": "h", "generation": "x"}',
        b'{"question": "heartbeat", "name": ["a"]}',
        b'{"question": "who", "name": "a"}',
    ],
)
def test_a_signed_question_of_no_meaning_is_answered_as_a_bad_request(body):
    members = Members(expected=2)
    with RendezvousServer(HOME, new_secret(), members.answer) as server:
        headers = signed_headers(server.secret, "POST", "/ask", body)
        status, _ = remote(server, "POST", "/ask", body, headers)
    assert status == 400
    assert not members.waiting and not members.heartbeats


def test_idle_connections_hold_few_threads_and_give_way_to_others(client, server, monkeypatch):
    """One that sends a byte now and then is ended too."""
    monkeypatch.setattr("hvdtma.comm.rendezvous.server.MAX_CONNECTIONS", 5)
    before = threading.active_count()
    idle = [socket.create_connection((HOME, server.port), timeout=5) for _ in range(40)]
    idle[-1].sendall(b"GET /1/glo")
    assert client.ask(question="?") == {"heard": {"question": "?"}}
    wait_until(lambda: threading.active_count() <= before + 6)
    monkeypatch.setattr("hvdtma.comm.rendezvous.server.CONNECTION_S", 0.0)
    wait_until(lambda: threading.active_count() <= before)
    for connection in idle:
        connection.close()


def wait_until(happened) -> None:
    for _ in range(1000):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_nobody_unpickles(server, client, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    assert remote(server, "PUT", "/worker_addresses/n1:0", bomb)[0] == 403
    assert client.request("PUT", "/1/worker_addresses/n1:0", bomb) == (
        200,
        b"",
    )  # of the job itself
    assert client.request("GET", "/1/worker_addresses/n1:0") == (200, bomb)
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb).close()
    assert (tmp_path / "exploded").exists()  # it would have


def test_an_unknown_secret_is_named_as_what_it_is(server):
    with pytest.raises(RendezvousGone, match="refused with status 403"):
        RendezvousClient(HOME, server.port, new_secret()).ask(question="?")


def test_a_closed_rendezvous_is_said_to_be_gone(client, server):
    server.close()
    with pytest.raises(RendezvousGone, match="is gone"):
        client.ask(question="?")


ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
try:
    connection.request("GET", "/global/0")
    print(connection.getresponse().status)
except (ConnectionError, http.client.HTTPException):
    print("turned away")
"""


def test_a_relay_serves_its_own_process_only(client):
    with Relay(client, ALONE) as relay:
        own = http.client.HTTPConnection(HOME, relay.port, timeout=5)
        own.request("GET", "/global/0")
        assert own.getresponse().read() == b"an address"
        own.close()
        other = [sys.executable, "-c", ASK, str(relay.port)]
        said = subprocess.run(other, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "turned away"


def test_a_relay_signs_for_horovod(client, server):
    with Relay(client, replace(ALONE, generation=7)) as relay:
        connection = http.client.HTTPConnection(HOME, relay.port, timeout=5)
        connection.request("PUT", "/local_n1/3", b"abc")
        assert connection.getresponse().status == 200
        connection.close()
    assert server.values["/7/local_n1/3"] == b"abc"


def test_places_number_trainers_as_horovod_does():
    four = rank_infos(["a", "a", "b", "a"], 2)
    assert [place.rank for place in four] == [0, 1, 2, 3]
    assert [(place.local_rank, place.local_size) for place in four] == [
        *((0, 3), (1, 3), (0, 1), (2, 3)),
    ]
    assert [(place.cross_rank, place.cross_size) for place in four] == [
        *((0, 2), (0, 1), (1, 2), (0, 1)),
    ]
    assert four[2].as_horovod == "2,4,0,1,1,2"


class Group:
    """Members on a clock that tests set."""

    def __init__(self, **options):
        self.now, self.excluded = 0.0, []
        self.members = Members(**options, on_exclude=self.excluded.append, clock=lambda: self.now)

    def ranks(self, names, generation=0):
        """Let each come to the door twice; their ranks, None for who has no place."""
        for name in names:
            self.members.join(name, name[0], generation)
        joined = [self.members.join(name, name[0], generation) for name in names]
        return [place and place.rank for place in joined]


def test_the_first_generation_waits_for_all_that_are_wanted():
    group = Group(expected=3)
    assert group.ranks("ab") == [None, None]
    assert group.ranks("cab") == [2, 0, 1]  # by name, whoever came first


def test_the_first_generation_does_without_those_who_never_come():
    group = Group(expected=3, minimum=2, start_timeout_s=60)
    assert group.ranks("ab") == [None, None]
    group.now = 61
    assert group.ranks("ab") == [0, 1]


def test_survivors_keep_their_order_and_newcomers_come_last_once_nobody_waits_for_an_average():
    group = Group(expected=4)
    group.ranks("abcd")
    group.members.exclude("a")
    assert group.ranks("e") == [None]
    assert group.members.newcomers == ["e"]
    assert group.ranks("db", 1) == [None, None]
    assert group.ranks("cedb", 1) == [1, None, 2, 0]
    assert group.members.newcomers == ["e"]
    assert group.ranks("cdb", 2) == [1, 2, 0]
    assert group.ranks("e") == [3]
    assert group.members.newcomers == []


def test_a_newcomer_does_not_hurry_the_others():
    group = Group(expected=2, hang_limit_s=10)
    group.ranks("ab")
    group.ranks("c")
    group.now = 1000
    assert group.ranks("a", 1) == [None]
    assert group.ranks("ab", 1) == [0, 1]
    assert group.excluded == []


def test_one_that_hangs_is_given_up():
    group = Group(expected=3, hang_limit_s=10)
    group.ranks("abc")
    group.ranks("ac", 1)
    group.now = 11
    assert group.ranks("ac", 1) == [0, 1]
    assert group.excluded == ["b"]
    answer = group.members.answer({"question": "join", "name": "b", "host": "b", "generation": 1})
    assert "did not answer in time" in answer["excluded"]


def test_one_that_is_busy_and_says_so_is_waited_for():
    group = Group(expected=2, hang_limit_s=10)
    group.ranks("ab")
    group.ranks("a", 1)
    for now in (9, 18, 27):
        group.now = now
        group.members.answer({"question": "heartbeat", "name": "b"})
        assert group.ranks("a", 1) == [None]
    assert group.ranks("ab", 1) == [0, 1]
    group.ranks("a", 2)
    group.now = 38
    assert group.ranks("a", 2) == [0]
    assert group.excluded == ["b"]


def test_too_few_wait_for_others_and_then_give_up():
    group = Group(expected=3, minimum=2, rejoin_timeout_s=60)
    group.ranks("abc")
    group.members.exclude("a")
    group.members.exclude("b")
    assert group.ranks("c", 1) == [None]
    group.now = 30
    assert group.ranks("dc", 1) == [1, 0]
    group.members.exclude("d")
    group.ranks("c", 2)
    group.now = 91
    with pytest.raises(TooFewMembers):
        group.members.join("c", "c", 2)


def test_when_all_are_lost_those_who_come_next_begin_again():
    group = Group(expected=3, start_timeout_s=60)
    group.ranks("abc")
    group.ranks("d")
    for name in "abc":
        group.members.exclude(name)
    assert group.ranks("de") == [None, None]  # three are wanted
    assert group.ranks("fed") == [2, 1, 0]
    assert group.members.current["d"].generation == 2


def test_fewer_are_wanted_when_some_cannot_come():
    group = Group(expected=3)
    assert group.ranks("ab") == [None, None]
    group.members.expected = 2
    assert group.ranks("ab") == [0, 1]


def test_a_job_that_is_about_to_end_does_not_wait_for_the_minimum():
    group = Group(expected=2, minimum=2)
    group.ranks("ab")
    group.members.exclude("a")
    assert group.ranks("b", 1) == [None]
    group.members.draining = True
    assert group.ranks("b", 1) == [0]
