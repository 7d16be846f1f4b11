"""Signals that ask to save and end: how they are handled, and by which processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hvdtma.core.errors import Interrupted
from hvdtma.core.signals import ShutdownSignal, blocked_signals

TWO_SIGNALS = """
import os, signal, sys
from hvdtma.core.signals import ShutdownSignal
with ShutdownSignal(process_ends=True) as shutdown:
    os.kill(os.getpid(), signal.SIGUSR2)
os.kill(os.getpid(), signal.SIGUSR2)
sys.exit(75 if shutdown.received else 1)
"""
WAIT = "import sys; print('here', flush=True); sys.stdin.read()"


def test_a_second_signal_does_not_change_the_exit_status():
    assert subprocess.run([sys.executable, "-c", TWO_SIGNALS]).returncode == 75


def test_work_with_nothing_to_save_is_cut_short_at_once():
    called = []
    with ShutdownSignal() as shutdown:
        shutdown.on_signal(lambda: called.append(1))
        with (
            pytest.raises(Interrupted, match="here"),
            shutdown.raise_on_signal(Interrupted("here")),
        ):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        os.kill(os.getpid(), signal.SIGTERM)  # handled, and not raised any more
        with (
            pytest.raises(Interrupted, match="later"),
            shutdown.raise_on_signal(Interrupted("later")),
        ):
            raise AssertionError("a signal came before")
    assert len(called) == 2


def before(*received): ...


@pytest.mark.parametrize("before", [before, signal.SIG_DFL, signal.SIG_IGN])
def test_handlers_are_restored_afterwards(before):
    original = signal.signal(signal.SIGUSR2, before)
    try:
        with ShutdownSignal() as shutdown:
            os.kill(os.getpid(), signal.SIGUSR2)
        assert shutdown.received
        assert signal.getsignal(signal.SIGUSR2) is before
    finally:
        signal.signal(signal.SIGUSR2, original)


def test_a_helper_process_does_not_receive_blocked_signals():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ShutdownSignal() as shutdown:
        with blocked_signals(signal.SIGUSR2):
            child = subprocess.Popen([sys.executable, "-c", WAIT], **pipes)
            os.kill(os.getpid(), signal.SIGUSR2)
        assert shutdown.received
        child.stdout.readline()
        child.send_signal(signal.SIGUSR2)
        child.communicate()
    assert child.returncode == 0
