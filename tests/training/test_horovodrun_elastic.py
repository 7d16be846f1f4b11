"""Elastic trainers under horovodrun with host discovery: its own driver, its own rendezvous."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hvdtma.core.config import dump_config
from hvdtma.core.train_config import parse_config
from hvdtma.runs.run_folder import RunFolder

HOSTS = ("localhost", "127.0.0.1")  # two names of this machine


@pytest.fixture
def hosts(tmp_path):
    """A script that says which hosts there are."""
    script = tmp_path / "hosts.sh"
    script.write_text("#!/bin/sh\n" + "".join(f"echo {host}:1\n" for host in HOSTS))
    script.chmod(0o755)
    return script


def test_the_other_goes_on_without_a_killed_trainer(community_store, tmp_path, hosts):
    values = {
        "store": str(community_store.path),
        "run": str(tmp_path / "run"),
        "interval_s": 1.0,
        "rounds": 12,
        "threads": 1,
        "elastic": True,
        "model": {"hidden": 8},
        "task": {"batch_size": 64},
        "evaluate": {"mode": "final"},
    }
    config = parse_config(values)
    dump_config(config, tmp_path / "c.yaml")
    run = RunFolder(config.run)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["horovodrun", "-np", "2", "--min-np", "1", "--host-discovery-script", str(hosts)]
    command += ["hvdtma", "train", str(tmp_path / "c.yaml")]
    log = tmp_path / "log"
    with log.open("w") as file:
        launcher = subprocess.Popen(
            command, env=os.environ | {"PATH": path}, stdout=file, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 120
    while sum(event["kind"] == "round" for event in run.events()) < 2:
        assert launcher.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    trainers = [
        process
        for process in psutil.Process(launcher.pid).children(recursive=True)
        if process.name().startswith("hvdtma") or "hvdtma" in " ".join(process.cmdline()[:3])
    ]
    killed = next(p for p in trainers if p.environ().get("HOROVOD_RANK") == "1")
    killed.send_signal(signal.SIGKILL)
    assert launcher.wait(timeout=200) == 0, log.read_text()
    events = run.events()
    rounds = [event["round"] for event in events if event["kind"] == "round"]
    assert rounds == list(range(1, 13))
    [change] = [event for event in events if event["kind"] == "members"]
    assert (change["lost"], change["trainers"]) == (1, 1)
