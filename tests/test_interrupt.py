"""Signals that ask to save and end: who hears them, and how often."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hvdtma.core.errors import Interrupted
from hvdtma.core.signals import Interrupt, unheard

TOLD_TWICE = """
import os, signal, sys
from hvdtma.core.signals import Interrupt
with Interrupt() as interrupt:
    os.kill(os.getpid(), signal.SIGUSR2)
os.kill(os.getpid(), signal.SIGUSR2)
sys.exit(75 if interrupt.asked else 1)
"""
WAIT = "import sys; print('here', flush=True); sys.stdin.read()"


def test_who_is_told_twice_ends_with_a_status_of_its_own():
    assert subprocess.run([sys.executable, "-c", TOLD_TWICE]).returncode == 75


def test_what_has_nothing_to_save_is_cut_short_at_once():
    told = []
    with Interrupt() as interrupt:
        interrupt.tell(lambda: told.append(1))
        with pytest.raises(Interrupted, match="here"), interrupt.at_once(Interrupted("here")):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        os.kill(os.getpid(), signal.SIGTERM)  # heard, and not raised any more
        with pytest.raises(Interrupted, match="later"), interrupt.at_once(Interrupted("later")):
            raise AssertionError("it was told before")
    assert len(told) == 2


def test_what_stood_there_before_is_put_back():
    def before(*heard): ...

    original = signal.signal(signal.SIGUSR2, before)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGUSR2)
        assert interrupt.asked
        assert signal.getsignal(signal.SIGUSR2) is before
    finally:
        signal.signal(signal.SIGUSR2, original)


def test_a_process_does_not_hear_what_its_parent_hears():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with Interrupt() as interrupt:
        with unheard(signal.SIGUSR2):
            child = subprocess.Popen([sys.executable, "-c", WAIT], **pipes)
            os.kill(os.getpid(), signal.SIGUSR2)
        assert interrupt.asked
        child.stdout.readline()
        child.send_signal(signal.SIGUSR2)
        child.communicate()
    assert child.returncode == 0
