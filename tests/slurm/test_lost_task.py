"""A task that is killed in a job that is not elastic is named, with the command to go on."""

import signal
import socket
import time

import pytest
from srun_steps import Step

from hvdtma.comm import SingleProcess
from hvdtma.comm.communicator import TrainerLost
from hvdtma.comm.roll_call import Place, RollCall
from hvdtma.core.config import dump_config
from hvdtma.core.files import append_json
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder
from hvdtma.training.lost import explained


@pytest.fixture
def config(community_store, tmp_path):
    values = {"store": str(community_store.path), "run": str(tmp_path / "run"), "rounds": 1000}
    values |= {"interval_s": 0.5, "threads": 1, "model": {"hidden": 8}, "log": []}
    values |= {"evaluate": {"mode": "final"}, "checkpoint": {"every": 1}}
    dump_config(parse_config(values), tmp_path / "c.yaml")
    return tmp_path / "c.yaml"


@pytest.mark.parametrize(("transport", "killed"), [("horovod", 1), ("torch", 0)])
def test_the_killed_task_is_named_once_with_its_node_and_the_command_to_go_on(
    config, tmp_path, transport, killed
):
    run = RunFolder(tmp_path / "run")
    step = Step(tmp_path, config, ["n1"] * 3, "--comm", transport)
    deadline = time.monotonic() + 150
    while sum(event["kind"] == "round" for event in run.events()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    step.processes[killed].send_signal(signal.SIGKILL)
    statuses, said = step.ends()
    reporter, silent = sorted({0, 1, 2} - {killed})
    assert statuses[killed] == -signal.SIGKILL
    assert (statuses[reporter], statuses[silent]) == (2, 0)
    whole = " ".join(said[reporter].split())
    assert f"error: another trainer was lost: trainer {killed} on n1. Go on from" in whole
    assert f"hvdtma train --resume {run.path}." in whole
    assert "was lost" not in said[silent]
    last = run.events()[-1]
    assert last["kind"] == "failed"
    assert f"trainer {killed} on n1" in last["why"]


@pytest.fixture
def call():
    """A roll call of trainers of which this one is the third."""
    with RollCall(SingleProcess()) as there:
        there.rank = 2
        yield there


def listening(rank, node):
    server = socket.create_server(("127.0.0.1", 0))
    return server, Place(rank, node, *server.getsockname())


def test_a_port_that_refuses_is_a_trainer_that_ended(call):
    server, alive = listening(0, "n1")
    ended_server, ended = listening(1, "n2")
    ended_server.close()
    with server:
        call.places = [alive, ended, Place(2, "n3", "127.0.0.1", 1)]
        assert [str(place) for place in call.lost()] == ["trainer 1 on n2"]
        assert not call.reports([ended])  # the first trainer does
        call.rank = 0
        assert call.reports([ended])


def test_a_loss_that_another_trainer_has_reported_is_not_reported_again(call, tmp_path):
    """The one that has reported it may have ended by now, too."""
    gone = []
    for rank in (0, 1):
        server, place = listening(rank, "n1")
        server.close()
        gone.append(place)
    call.places = gone
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    error = TrainerLost("another trainer was lost", "The transport's message: closed")
    first = explained(error, call, run)
    assert isinstance(first, TrainerLost)
    assert "trainer 0 on n1, trainer 1 on n1" in str(first)
    assert "no checkpoint yet; begin again: hvdtma train" in str(first)
    append_json(run.metrics, {"kind": "failed", "why": "trainer 1 on n1"})
    assert not isinstance(explained(error, call, run), TrainerLost)


def test_where_nobody_can_be_asked_the_transports_message_stands_alone(call, tmp_path):
    call.places = [Place(0, "n1", "127.0.0.1", 0)]
    error = TrainerLost("another trainer was lost", "The transport's message: closed")
    assert explained(error, call, RunFolder(tmp_path)) is error
